/* The k vectors that may be nearest to each query, judged by their codes: those whose distances have the smallest
 * lower bounds.
 *
 *   panels [n / 8][stride / 2][8][2], int8; queries [query_count][dim], float; keys [query_count][k]
 *
 * The products of codes are exact integers (code_tile.c). Together with the errors of the codes they bound the
 * distances that flat_search_f32 computes from the vectors themselves. docs/decisions/0009 derives the bounds and what
 * rounding adds to them.
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
    int16_t packed[QUERY_CODES]; /* The codes of four queries side by side: [stride / 2][4][2]. */
    float scales[FLAT_QUERIES], squares[FLAT_QUERIES];
    float lengths[FLAT_QUERIES];      /* An upper bound of each query's length. */
    float errors[FLAT_QUERIES];       /* An upper bound of how far each query is from its codes. */
    float bounds[FLAT_QUERIES];       /* The greatest distance in each query's heap. */
    int32_t thresholds[FLAT_QUERIES]; /* A sum of products up to this cannot enter the heap. */
};
_Static_assert(sizeof(struct code_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

#define TINY 0x1p-116f /* An upper bound of what is lost when a product is not a normal number. */

/* An upper bound of the rounding error of a sum of dim products, relative to the product of the lengths. */
static float rounding(int32_t dim) { return (float)(dim + 64) * 0x1p-24f; }

static void pack_query(const struct flat_search_arguments *args, struct code_workspace *w, int32_t query, int32_t at) {
    int32_t dim = args->dim, stride = row_stride(dim);
    prepare_row(w->row, args->queries + (size_t)query * dim, dim, args->metric);
    quantize_row(w->codes, w->scales + at, w->squares + at, w->row, stride, largest_query_code(stride), args->metric);
    if (w->scales[at] < 0x1p-126f) w->scales[at] = 0; /* Products with a smaller scale are not normal numbers. */
    float length = code_error(w->row, w->codes, 0, stride);
    w->lengths[at] = length * (1 + rounding(dim));
    w->errors[at] = code_error(w->row, w->codes, w->scales[at], stride);
    if (args->metric != METRIC_L2) w->errors[at] += length * rounding(dim);
    w->bounds[at] = flat_bound(args, query);
    int16_t *lane = w->packed + (size_t)(at - at % TILE_ROWS) * stride + at % TILE_ROWS * CODE_PAIR;
    for (int32_t i = 0; i < stride; i += CODE_PAIR) {
        lane[TILE_ROWS * i] = w->codes[i];
        lane[TILE_ROWS * i + 1] = w->codes[i + 1];
    }
}

/* Packs queries. Places after the last query, up to a multiple of four, get a bound that no distance is below. */
static void pack_queries(const struct flat_search_arguments *args, struct code_workspace *w, int32_t first,
                         int32_t count) {
    for (int32_t q = 0; q < count; q++) pack_query(args, w, first + q, q);
    for (int32_t q = count; q % TILE_ROWS; q++) w->bounds[q] = -__builtin_inff();
    /* For l2 the thresholds stay so low that every sum is above them. */
    for (int32_t q = 0; q < count; q++) w->thresholds[q] = INT32_MIN;
}

/* Properties of four vectors that their bounds need beside the codes; or the greatest of a panel's, in all lanes. */
struct coded {
    f32x4 scale, error;
    f32x4 size; /* The length of the codes, or for l2 its square. */
};

INLINE struct coded four_vectors(const struct flat_search_arguments *args, int32_t position) {
    struct coded x = {load_f32x4(args->scales + position), load_f32x4(args->errors + position),
                      load_f32x4(args->squares + position)};
    if (args->metric != METRIC_L2) x.size = add_f32x4(wasm_f32x4_sqrt(x.size), splat_f32x4(0x1p-74f));
    return x;
}

INLINE f32x4 greatest_of(f32x4 a, f32x4 b) { return greatest_f32x4(pmax_f32x4(a, b)); }

INLINE struct coded greatest_coded(const struct coded *a, const struct coded *b) {
    struct coded x = {greatest_of(a->scale, b->scale), greatest_of(a->error, b->error), greatest_of(a->size, b->size)};
    return x;
}

/* Upper bounds of how much greater the product of two vectors is than that of their codes. */
INLINE f32x4 margins(const struct coded *x, f32x4 query_lengths, f32x4 query_errors) {
    return fma_f32x4(x->size, query_errors, fma_f32x4(x->error, query_lengths, splat_f32x4(TINY)));
}

/* Sets each query's threshold for a panel: if the sum of products is at most that, no vector of the panel can be nearer
 * than those that were found. INT32_MIN if there is no such sum. */
static NOINLINE void set_thresholds(struct code_workspace *w, int32_t queries, const struct coded x[2]) {
    struct coded greatest = greatest_coded(x, x + 1);
    f32x4 zero = splat_f32x4(0);
    for (int32_t q = 0; q < queries; q += TILE_ROWS) {
        f32x4 margin = margins(&greatest, load_f32x4(w->lengths + q), load_f32x4(w->errors + q));
        f32x4 room = sub_f32x4(sub_f32x4(zero, load_f32x4(w->bounds + q)), margin);
        f32x4 sums = div_f32x4(room, mul_f32x4(greatest.scale, load_f32x4(w->scales + q)));
        v128_t rounded = wasm_i32x4_trunc_sat_f32x4(sums), none = wasm_i32x4_splat(INT32_MIN);
        wasm_v128_store(w->thresholds + q, wasm_v128_bitselect(rounded, none, wasm_f32x4_ge(room, zero)));
    }
}

/* Computes lower bounds of four distances of a query from the sums of products. */
INLINE f32x4 lower_bounds(const struct code_workspace *w, int32_t query, const struct coded *x, const int32_t *sums,
                          const struct flat_search_arguments *args) {
    f32x4 scale = splat_f32x4(w->scales[query]), error = splat_f32x4(w->errors[query]), zero = splat_f32x4(0);
    f32x4 product = mul_f32x4(mul_f32x4(wasm_f32x4_convert_i32x4(wasm_v128_load(sums)), scale), x->scale);
    if (args->metric != METRIC_L2) {
        return sub_f32x4(zero, add_f32x4(product, margins(x, splat_f32x4(w->lengths[query]), error)));
    }
    f32x4 squares = add_f32x4(x->size, splat_f32x4(w->squares[query])), tiny = splat_f32x4(TINY);
    f32x4 slack = add_f32x4(mul_f32x4(squares, splat_f32x4(0x1p-19f)), tiny);
    f32x4 square = sub_f32x4(sub_f32x4(squares, add_f32x4(product, product)), slack);
    f32x4 length = sub_f32x4(wasm_f32x4_sqrt(pmax_f32x4(square, zero)), add_f32x4(x->error, error));
    length = mul_f32x4(pmax_f32x4(length, zero), splat_f32x4(1 - rounding(args->dim)));
    return sub_f32x4(mul_f32x4(length, length), tiny);
}

/* Offers a query the lower bounds of eight distances. */
INLINE void offer_sums(const struct flat_search_arguments *args, struct code_workspace *w, const struct coded x[2],
                       const int32_t *sums, int32_t first, int32_t query, int32_t position) {
    f32x4 low = lower_bounds(w, query, x, sums, args), high = lower_bounds(w, query, x + 1, sums + 4, args);
    if (!any_below(low, high, w->bounds[query])) return;
    float distances[TILE_COLUMNS];
    store_f32x4(distances, low);
    store_f32x4(distances + 4, high);
    w->bounds[query] = flat_offer(args, distances, first + query, position);
}

static NOINLINE void offer_tile(const struct flat_search_arguments *args, struct code_workspace *w,
                                const struct coded x[2], const int32_t *sums, int32_t first, int32_t query,
                                int32_t queries, int32_t position) {
    for (int32_t r = 0; r < queries; r++) {
        offer_sums(args, w, x, sums + r * TILE_COLUMNS, first, query + r, position);
    }
}

/* Searches for a single query. */
static void search_one(const struct flat_search_arguments *args, struct code_workspace *w, int32_t query) {
    int32_t stride = row_stride(args->dim), sums[TILE_COLUMNS];
    const int8_t *panels = args->panels;
    for (int32_t position = args->begin; position < args->end; position += TILE_COLUMNS) {
        if (panel_is_masked(args->mask, position, args->end)) continue;
        code_row(sums, w->codes, panels + (size_t)position * stride, stride);
        struct coded x[2] = {four_vectors(args, position), four_vectors(args, position + 4)};
        offer_sums(args, w, x, sums, query, 0, position);
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
        for (int32_t q = 0; q < count; q += TILE_ROWS) {
            int32_t some = count - q < TILE_ROWS ? count - q : TILE_ROWS;
            const int8_t *panel = panels + (size_t)position * stride;
            if (code_tile(sums, w->packed + q * stride, panel, stride, wasm_v128_load(w->thresholds + q))) {
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
