/* The k vectors whose distances to each query have the smallest lower bounds, computed from codes.
 *
 *   panels [n / 8], each int32 sums[8] and int8 codes[stride / 4][8][4]
 *   queries [query_count][dim], float; keys [query_count][k]
 *
 * The products of codes are exact integers (code_tile.c). Together with the errors of the codes, they bound the
 * distances that flat_search_f32 computes from the vectors themselves. docs/decisions/0009 derives the bounds,
 * including rounding errors.
 *
 * A query's code is two digits, high * 2^bits + low, of at most seven bits each. All vectors are multiplied by the high
 * digits. The low digits are used only if they might bring a bound below the greatest in the heap.
 *
 * Workspace: struct code_workspace.
 */
#include "../store.h"
#include "code_tile.h"
#include "offer.h"

enum { QUERY_CODES = 24 * INDEX_MAX_DIM };

struct code_workspace {
    float row[INDEX_MAX_DIM];
    int16_t codes[INDEX_MAX_DIM];
    int8_t high[QUERY_CODES], low[QUERY_CODES]; /* The digits of four queries side by side: [stride / 4][4][4]. */
    float scales[FLAT_QUERIES], squares[FLAT_QUERIES];
    float high_scales[FLAT_QUERIES];  /* The number that high digit 1 represents. */
    float low_lengths[FLAT_QUERIES];  /* An upper bound of the length of the vector that the low digits represent. */
    float lengths[FLAT_QUERIES];      /* An upper bound of each query's length. */
    float errors[FLAT_QUERIES];       /* An upper bound of each query's distance from its codes. */
    float bounds[FLAT_QUERIES];       /* The greatest distance in each query's heap. */
    int32_t thresholds[FLAT_QUERIES]; /* A sum of products up to this cannot enter the heap. */
};
_Static_assert(sizeof(struct code_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

#define TINY 0x1p-116f /* An upper bound of the error of a product that is not a normal number. */

/* An upper bound of the rounding error of a sum of dim products, relative to the product of the lengths. */
static float rounding(int32_t dim) { return (float)(dim + 64) * 0x1p-24f; }

/* Returns the place of a query's first digit among the packed ones. */
INLINE size_t first_digit(int32_t query, int32_t stride) {
    return (size_t)(query - query % TILE_ROWS) * stride + query % TILE_ROWS * CODE_STEP;
}

static void pack_query(const struct flat_search_arguments *args, struct code_workspace *w, int32_t query, int32_t at) {
    int32_t dim = args->dim, stride = row_stride(dim);
    prepare_row(w->row, args->queries + (size_t)query * dim, dim, args->metric);
    quantize_row(w->codes, w->scales + at, w->squares + at, w->row, stride, largest_two_digits(stride), args->metric);
    if (w->scales[at] < 0x1p-126f) w->scales[at] = 0; /* Products with a smaller scale would not be normal numbers. */
    float length = code_error(w->row, w->codes, 0, stride);
    w->lengths[at] = length * (1 + rounding(dim));
    w->errors[at] = code_error(w->row, w->codes, w->scales[at], stride);
    if (args->metric != METRIC_L2) w->errors[at] += length * rounding(dim);
    w->bounds[at] = flat_bound(args, query);
    w->high_scales[at] = w->scales[at] * (float)(1 << low_digit_bits(stride));
    size_t lane = first_digit(at, stride);
    double low_length = pack_digits(w->high + lane, w->low + lane, w->codes, stride) * w->scales[at];
    /* The addend is greater than the rounding errors of products of the digits. */
    w->low_lengths[at] = (float)(low_length * (1 + 0x1p-18)) + length * 0x1p-19f;
}

/* Packs queries. Places after the last query, up to a multiple of four, get a bound that no distance is below. */
static void pack_queries(const struct flat_search_arguments *args, struct code_workspace *w, int32_t first,
                         int32_t count) {
    for (int32_t q = 0; q < count; q++) pack_query(args, w, first + q, q);
    for (int32_t q = count; q % TILE_ROWS; q++) {
        w->bounds[q] = -__builtin_inff();
        w->lengths[q] = w->errors[q] = w->low_lengths[q] = w->high_scales[q] = 0;
    }
    /* For l2 the thresholds stay so low that every sum is above them. */
    for (int32_t q = 0; q < count; q++) w->thresholds[q] = INT32_MIN;
}

/* Properties of four vectors that the bounds need in addition to the codes; or the maxima over a panel, in all
 * lanes. */
struct coded {
    f32x4 scale, error, square;
    f32x4 length; /* An upper bound of the length of scale * codes. */
};

INLINE struct coded four_vectors(const struct flat_search_arguments *args, int32_t position) {
    struct coded x = {load_f32x4(args->scales + position), load_f32x4(args->errors + position),
                      load_f32x4(args->squares + position), splat_f32x4(0x1p-74f)};
    x.length = add_f32x4(wasm_f32x4_sqrt(x.square), x.length);
    return x;
}

INLINE f32x4 greatest_of(f32x4 a, f32x4 b) { return greatest_f32x4(pmax_f32x4(a, b)); }

INLINE struct coded greatest_coded(const struct coded *a, const struct coded *b) {
    struct coded x = {greatest_of(a->scale, b->scale), greatest_of(a->error, b->error), splat_f32x4(0),
                      greatest_of(a->length, b->length)};
    return x;
}

/* Upper bounds of the difference between the product of two vectors and the product of their codes. */
INLINE f32x4 margins(const struct coded *x, f32x4 query_lengths, f32x4 query_errors) {
    return fma_f32x4(x->length, query_errors, fma_f32x4(x->error, query_lengths, splat_f32x4(TINY)));
}

/* Sets each query's threshold for a panel: if the sum of products with high digits does not exceed it, no vector of
 * the panel can be nearer than those found so far. INT32_MIN means that there is no such sum. */
static NOINLINE void set_thresholds(struct code_workspace *w, int32_t queries, const struct coded x[2]) {
    struct coded greatest = greatest_coded(x, x + 1);
    f32x4 zero = splat_f32x4(0);
    for (int32_t q = 0; q < queries; q += TILE_ROWS) {
        f32x4 errors = add_f32x4(load_f32x4(w->errors + q), load_f32x4(w->low_lengths + q));
        f32x4 margin = margins(&greatest, load_f32x4(w->lengths + q), errors);
        f32x4 room = sub_f32x4(sub_f32x4(zero, load_f32x4(w->bounds + q)), margin);
        f32x4 sums = div_f32x4(room, mul_f32x4(greatest.scale, load_f32x4(w->high_scales + q)));
        v128_t rounded = wasm_i32x4_trunc_sat_f32x4(sums), none = wasm_i32x4_splat(INT32_MIN);
        wasm_v128_store(w->thresholds + q, wasm_v128_bitselect(rounded, none, wasm_f32x4_ge(room, zero)));
    }
}

/* Returns the products of a query's codes and those of four vectors. */
INLINE f32x4 products(const int32_t *sums, float scale, const struct coded *x) {
    return mul_f32x4(mul_f32x4(wasm_f32x4_convert_i32x4(wasm_v128_load(sums)), splat_f32x4(scale)), x->scale);
}

/* Computes lower bounds of four distances of a query from the products of codes. A greater product gives a smaller
 * bound, even after rounding. */
INLINE f32x4 lower_bounds(const struct flat_search_arguments *args, const struct code_workspace *w, int32_t query,
                          const struct coded *x, f32x4 product) {
    f32x4 error = splat_f32x4(w->errors[query]), zero = splat_f32x4(0);
    if (args->metric != METRIC_L2) {
        return sub_f32x4(zero, add_f32x4(product, margins(x, splat_f32x4(w->lengths[query]), error)));
    }
    f32x4 squares = add_f32x4(x->square, splat_f32x4(w->squares[query])), tiny = splat_f32x4(TINY);
    f32x4 slack = add_f32x4(mul_f32x4(squares, splat_f32x4(0x1p-19f)), tiny);
    f32x4 square = sub_f32x4(sub_f32x4(squares, add_f32x4(product, product)), slack);
    f32x4 length = sub_f32x4(wasm_f32x4_sqrt(pmax_f32x4(square, zero)), add_f32x4(x->error, error));
    length = mul_f32x4(pmax_f32x4(length, zero), splat_f32x4(1 - rounding(args->dim)));
    return sub_f32x4(mul_f32x4(length, length), tiny);
}

/* Computes lower bounds of the bounds of four distances, from the high digits of a query alone. */
INLINE f32x4 lowest_bounds(const struct flat_search_arguments *args, const struct code_workspace *w, int32_t query,
                           const struct coded *x, const int32_t *sums) {
    f32x4 low_digits = fma_f32x4(x->length, splat_f32x4(w->low_lengths[query]), splat_f32x4(TINY));
    f32x4 most = add_f32x4(products(sums, w->high_scales[query], x), low_digits);
    return lower_bounds(args, w, query, x, most);
}

/* Adds a query's low digits to the sums of its high digits with a panel, and offers it the lower bounds. */
static NOINLINE void offer_both_digits(const struct flat_search_arguments *args, struct code_workspace *w,
                                       const struct coded x[2], int32_t *sums, int32_t first, int32_t query,
                                       int32_t position) {
    int32_t stride = row_stride(args->dim), bits = low_digit_bits(stride), low_sums[TILE_COLUMNS];
    const int8_t *panel = (const int8_t *)args->panels + (size_t)(position / TILE_COLUMNS) * code_panel_bytes(stride);
    code_row(low_sums, w->low + first_digit(query, stride), 1 << (bits - 1), panel, stride);
    for (int32_t i = 0; i < TILE_COLUMNS; i += 4) {
        v128_t high = wasm_i32x4_shl(wasm_v128_load(sums + i), (uint32_t)bits);
        wasm_v128_store(sums + i, wasm_i32x4_add(high, wasm_v128_load(low_sums + i)));
    }
    f32x4 low = lower_bounds(args, w, query, x, products(sums, w->scales[query], x));
    f32x4 high = lower_bounds(args, w, query, x + 1, products(sums + 4, w->scales[query], x + 1));
    if (!any_within(low, high, w->bounds[query])) return;
    float distances[TILE_COLUMNS];
    store_f32x4(distances, low);
    store_f32x4(distances + 4, high);
    w->bounds[query] = flat_offer(args, distances, first + query, position);
}

/* Offers a query eight vectors, unless their products with its high digits show that none can enter the heap. */
static NOINLINE void offer_sums(const struct flat_search_arguments *args, struct code_workspace *w,
                                const struct coded x[2], int32_t *sums, int32_t first, int32_t query,
                                int32_t position) {
    f32x4 low = lowest_bounds(args, w, query, x, sums), high = lowest_bounds(args, w, query, x + 1, sums + 4);
    if (any_within(low, high, w->bounds[query])) offer_both_digits(args, w, x, sums, first, query, position);
}

static NOINLINE void offer_tile(const struct flat_search_arguments *args, struct code_workspace *w,
                                const struct coded x[2], int32_t *sums, int32_t first, int32_t query, int32_t queries,
                                int32_t position) {
    for (int32_t r = 0; r < queries; r++) {
        offer_sums(args, w, x, sums + r * TILE_COLUMNS, first, query + r, position);
    }
}

/* Offers a single query the panel at `position`. */
INLINE void offer_panel(const struct flat_search_arguments *args, struct code_workspace *w, int32_t *sums,
                        int32_t query, int32_t position) {
    struct coded x[2] = {four_vectors(args, position), four_vectors(args, position + 4)};
    offer_sums(args, w, x, sums, query, 0, position);
}

/* Searches for a single query. */
static void search_one(const struct flat_search_arguments *args, struct code_workspace *w, int32_t query) {
    int32_t stride = row_stride(args->dim), sums[4 * TILE_COLUMNS];
    int32_t begin = args->begin, apart = positions_apart(args->mask, args->end - begin);
    size_t bytes = code_panel_bytes(stride);
    const int8_t *panels = args->panels;
    for (; apart && args->end - begin >= 4 * apart; begin += 4 * apart) {
        for (int32_t position = begin; position < begin + apart; position += TILE_COLUMNS) {
            if (all_masked(args->mask, position, 4 * TILE_COLUMNS)) continue;
            const int8_t *panel = panels + (size_t)(position / TILE_COLUMNS) * bytes;
            code_four_panels(sums, w->high, HIGH_ZERO, panel, (size_t)(apart / TILE_COLUMNS) * bytes, stride);
            for (int32_t i = 0; i < 4; i++) {
                offer_panel(args, w, sums + i * TILE_COLUMNS, query, position + i * apart);
            }
        }
    }
    for (int32_t position = begin; position < args->end; position += TILE_COLUMNS) {
        if (panel_is_masked(args->mask, position, args->end)) continue;
        code_row(sums, w->high, HIGH_ZERO, panels + (size_t)(position / TILE_COLUMNS) * bytes, stride);
        offer_panel(args, w, sums, query, position);
    }
}

/* Searches for `count` packed queries, the first of which is query `first`. */
static void search_block(const struct flat_search_arguments *args, struct code_workspace *w, int32_t first,
                         int32_t count) {
    int32_t stride = row_stride(args->dim), sums[TILE_ROWS * TILE_COLUMNS];
    const int8_t *panels = args->panels;
    for (int32_t position = args->begin; position < args->end; position += TILE_COLUMNS) {
        if (panel_is_masked(args->mask, position, args->end)) continue;
        struct coded x[2] = {four_vectors(args, position), four_vectors(args, position + 4)};
        if (args->metric != METRIC_L2) set_thresholds(w, count, x);
        const int8_t *panel = panels + (size_t)(position / TILE_COLUMNS) * code_panel_bytes(stride);
        for (int32_t q = 0; q < count; q += TILE_ROWS) {
            int32_t some = count - q < TILE_ROWS ? count - q : TILE_ROWS;
            if (code_tile(sums, w->high + q * stride, panel, stride, wasm_v128_load(w->thresholds + q))) {
                offer_tile(args, w, x, sums, first, q, some, position);
            }
        }
    }
}

EXPORT(flat_search_i8)
int32_t flat_search_i8(const struct flat_search_arguments *args) {
    if (args->dim < 1 || args->dim > INDEX_MAX_DIM || args->k < 1 || args->begin % TILE_COLUMNS)
        return STATUS_BAD_ARGUMENT;
    struct code_workspace *w = args->workspace;
    int32_t block = flat_block(QUERY_CODES, row_stride(args->dim), TILE_ROWS);
    for (int32_t first = 0; first < args->query_count; first += block) {
        int32_t count = args->query_count - first < block ? args->query_count - first : block;
        pack_queries(args, w, first, count);
        if (count == 1) {
            search_one(args, w, first);
        } else {
            search_block(args, w, first, count);
        }
    }
    return STATUS_OK;
}
