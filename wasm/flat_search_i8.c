/* The k vectors of code panels [n / 8][stride / 2][8][2] that may be nearest to each query: those whose
 * distances have the least lower bounds.
 *
 * A query's codes have 16 bits, so that a pair of dimensions is one multiply-add of integers; the sums
 * are exact, so that their order is free. With the errors of the codes they bound what flat_search_f32
 * computes from the vectors: docs/decisions/0009 derives the bounds, and what rounding adds to them.
 */
#include "flat.h"

enum { PAIR = 2, QUERY_CODES = 24 * INDEX_MAX_DIM };

struct code_workspace {
    float row[INDEX_MAX_DIM];
    int16_t codes[INDEX_MAX_DIM];
    int16_t packed[QUERY_CODES]; /* Codes of four queries side by side: [stride / 2][4][2]. */
    float scales[FLAT_QUERIES], squares[FLAT_QUERIES];
    float lengths[FLAT_QUERIES]; /* What errors of vectors are multiplied with, */
    float errors[FLAT_QUERIES];  /* and their lengths; for l2 this is added. */
    float bounds[FLAT_QUERIES];  /* The greatest distance of each heap. */
    int32_t thresholds[FLAT_QUERIES];
};
_Static_assert(sizeof(struct code_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

#define TINY 0x1p-116f /* More than what is lost where a product is no normal number. */

/* What rounding changes of a sum of dim products, at most, over the product of the lengths. */
static float rounding(int32_t dim) { return (float)(dim + 64) * 0x1p-24f; }

static void pack_query(const struct flat_search_arguments *args, struct code_workspace *w, int32_t query, int32_t at) {
    int32_t dim = args->dim, stride = row_stride(dim);
    prepare_row(w->row, args->queries + (size_t)query * dim, dim, args->metric);
    quantize_row(w->codes, w->scales + at, w->squares + at, w->row, stride, largest_query_code(stride), args->metric);
    if (w->scales[at] < 0x1p-126f) w->scales[at] = 0; /* Its products would not be normal numbers. */
    float length = code_error(w->row, w->codes, 0, stride);
    w->lengths[at] = length * (1 + rounding(dim));
    w->errors[at] = code_error(w->row, w->codes, w->scales[at], stride);
    if (args->metric != METRIC_L2) w->errors[at] += length * rounding(dim);
    w->bounds[at] = flat_bound(args, query);
    int16_t *lane = w->packed + (size_t)(at - at % TILE_ROWS) * stride + at % TILE_ROWS * PAIR;
    for (int32_t i = 0; i < stride; i += PAIR) {
        lane[TILE_ROWS * i] = w->codes[i];
        lane[TILE_ROWS * i + 1] = w->codes[i + 1];
    }
}

/* Packs queries; places beside the last look for nothing. */
static void pack_queries(const struct flat_search_arguments *args, struct code_workspace *w, int32_t first,
                         int32_t count) {
    for (int32_t q = 0; q < count; q++) pack_query(args, w, first + q, q);
    for (int32_t q = count; q % TILE_ROWS; q++) w->bounds[q] = -__builtin_inff();
    for (int32_t q = 0; q < count; q++) w->thresholds[q] = INT32_MIN; /* Which is left as it is for l2. */
}

INLINE v128_t add_pair(v128_t sum, v128_t query, v128_t codes) {
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(query, codes));
}

/* A pair of dimensions of four queries and a panel. */
INLINE void code_step(struct tile *t, const int16_t *queries, const int8_t *panel) {
    v128_t q = wasm_v128_load(queries), a = wasm_i16x8_load8x8(panel), b = wasm_i16x8_load8x8(panel + 8);
    v128_t q0 = wasm_i32x4_shuffle(q, q, 0, 0, 0, 0), q1 = wasm_i32x4_shuffle(q, q, 1, 1, 1, 1);
    v128_t q2 = wasm_i32x4_shuffle(q, q, 2, 2, 2, 2), q3 = wasm_i32x4_shuffle(q, q, 3, 3, 3, 3);
    t->low[0] = add_pair(t->low[0], q0, a);
    t->high[0] = add_pair(t->high[0], q0, b);
    t->low[1] = add_pair(t->low[1], q1, a);
    t->high[1] = add_pair(t->high[1], q1, b);
    t->low[2] = add_pair(t->low[2], q2, a);
    t->high[2] = add_pair(t->high[2], q2, b);
    t->low[3] = add_pair(t->low[3], q3, a);
    t->high[3] = add_pair(t->high[3], q3, b);
}

/* Whether a sum of a query is above its threshold. */
INLINE int any_above(const struct tile *t, v128_t thresholds) {
    v128_t at = thresholds;
    v128_t zero = wasm_i32x4_gt(wasm_i32x4_max(t->low[0], t->high[0]), wasm_i32x4_shuffle(at, at, 0, 0, 0, 0));
    v128_t one = wasm_i32x4_gt(wasm_i32x4_max(t->low[1], t->high[1]), wasm_i32x4_shuffle(at, at, 1, 1, 1, 1));
    v128_t two = wasm_i32x4_gt(wasm_i32x4_max(t->low[2], t->high[2]), wasm_i32x4_shuffle(at, at, 2, 2, 2, 2));
    v128_t three = wasm_i32x4_gt(wasm_i32x4_max(t->low[3], t->high[3]), wasm_i32x4_shuffle(at, at, 3, 3, 3, 3));
    return wasm_v128_any_true(wasm_v128_or(wasm_v128_or(zero, one), wasm_v128_or(two, three)));
}

/* Stores sums [4][8] and returns 1 where one is above the threshold of its query. */
static NOINLINE int code_tile(int32_t *sums, const int16_t *queries, const int8_t *panel, int32_t stride,
                              v128_t thresholds) {
    struct tile t = {{wasm_i32x4_splat(0)}, {wasm_i32x4_splat(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t left = stride; left > 0; left -= 4 * PAIR) {
        PIN(t, queries, never);
        code_step(&t, queries, panel);
        PIN(t, queries + 8, never);
        code_step(&t, queries + 8, panel + 16);
        PIN(t, queries + 16, never);
        code_step(&t, queries + 16, panel + 32);
        PIN(t, queries + 24, never);
        code_step(&t, queries + 24, panel + 48);
        queries += 4 * TILE_ROWS * PAIR;
        panel += 4 * TILE_COLUMNS * PAIR;
        __asm__ volatile("" : "+r"(queries), "+r"(panel));
    }
    if (!any_above(&t, thresholds)) return 0;
    store_tile((float *)sums, TILE_COLUMNS, &t);
    return 1;
}

/* One query, whose codes lie one after another, and a panel. */
static NOINLINE void code_row(int32_t *sums, const int16_t *query, const int8_t *panel, int32_t stride) {
    v128_t low = wasm_i32x4_splat(0), high = low, low2 = low, high2 = low;
    for (int32_t left = stride; left > 0; left -= 4 * PAIR) {
        v128_t q = wasm_v128_load(query);
        v128_t q0 = wasm_i32x4_shuffle(q, q, 0, 0, 0, 0), q1 = wasm_i32x4_shuffle(q, q, 1, 1, 1, 1);
        v128_t q2 = wasm_i32x4_shuffle(q, q, 2, 2, 2, 2), q3 = wasm_i32x4_shuffle(q, q, 3, 3, 3, 3);
        low = add_pair(low, q0, wasm_i16x8_load8x8(panel));
        high = add_pair(high, q0, wasm_i16x8_load8x8(panel + 8));
        low2 = add_pair(low2, q1, wasm_i16x8_load8x8(panel + 16));
        high2 = add_pair(high2, q1, wasm_i16x8_load8x8(panel + 24));
        low = add_pair(low, q2, wasm_i16x8_load8x8(panel + 32));
        high = add_pair(high, q2, wasm_i16x8_load8x8(panel + 40));
        low2 = add_pair(low2, q3, wasm_i16x8_load8x8(panel + 48));
        high2 = add_pair(high2, q3, wasm_i16x8_load8x8(panel + 56));
        query += 4 * PAIR;
        panel += 4 * TILE_COLUMNS * PAIR;
    }
    wasm_v128_store(sums, wasm_i32x4_add(low, low2));
    wasm_v128_store(sums + 4, wasm_i32x4_add(high, high2));
}

/* What the bounds need of vectors beside their codes: of four, or the greatest of a panel. */
struct coded {
    f32x4 scale, error;
    f32x4 size; /* Length, or for l2 its square. */
};

INLINE struct coded four_vectors(const struct flat_search_arguments *args, int32_t position) {
    struct coded x = {load_f32x4(args->scales + position), load_f32x4(args->errors + position),
                      load_f32x4(args->squares + position)};
    if (args->metric != METRIC_L2) x.size = add_f32x4(wasm_f32x4_sqrt(x.size), splat_f32x4(0x1p-74f));
    return x;
}

/* The greatest of eight in every lane. */
INLINE f32x4 greatest_of(f32x4 a, f32x4 b) {
    a = pmax_f32x4(a, b);
    a = pmax_f32x4(a, wasm_i32x4_shuffle(a, a, 2, 3, 0, 1));
    return pmax_f32x4(a, wasm_i32x4_shuffle(a, a, 1, 0, 3, 2));
}

INLINE struct coded greatest_coded(const struct coded *a, const struct coded *b) {
    struct coded x = {greatest_of(a->scale, b->scale), greatest_of(a->error, b->error), greatest_of(a->size, b->size)};
    return x;
}

/* How much greater than the product of codes that of vectors may be. */
INLINE f32x4 margins(const struct coded *x, f32x4 query_lengths, f32x4 query_errors) {
    return fma_f32x4(x->size, query_errors, fma_f32x4(x->error, query_lengths, splat_f32x4(TINY)));
}

/* Sums of products of each query's codes up to which no vector of a panel is nearer than those that
 * were found; the least of all where there is none such. */
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

/* Lower bounds of four distances of a query, from the sums of products. */
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

/* Offers a query the bounds of eight vectors. */
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
