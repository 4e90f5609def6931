/* The k vectors of code panels [n / 8][stride / 2][8][2] whose codes are nearest to each query.
 *
 * A query's codes have 16 bits, so that a pair of dimensions is one multiply-add of integers; the sums
 * are exact, so that their order is free. The caller ranks what is found again by the vectors themselves.
 */
#include "flat.h"

enum { PAIR = 2 };

/* Codes of four queries side by side: [stride / 2][4][2]. */
static void pack_queries(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                         int32_t count) {
    int32_t dim = args->dim, stride = row_stride(dim), largest = largest_query_code(stride);
    int16_t *packed = (int16_t *)w->queries;
    for (int32_t q = 0; q < (count + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS; q++) {
        int16_t *lane = packed + (size_t)(q / TILE_ROWS) * TILE_ROWS * stride + q % TILE_ROWS * PAIR;
        if (q < count) {
            prepare_row(w->row, args->queries + (size_t)(first + q) * dim, dim, args->metric);
            quantize_row(w->codes, w->scales + q, w->squares + q, w->row, stride, largest, args->metric);
        }
        for (int32_t i = 0; i < stride; i += PAIR) {
            lane[TILE_ROWS * i] = q < count ? w->codes[i] : 0;
            lane[TILE_ROWS * i + 1] = q < count ? w->codes[i + 1] : 0;
        }
    }
}

INLINE void add_pair(v128_t *low, v128_t *high, v128_t query, v128_t a, v128_t b) {
    *low = wasm_i32x4_add(*low, wasm_i32x4_dot_i16x8(query, a));
    *high = wasm_i32x4_add(*high, wasm_i32x4_dot_i16x8(query, b));
}

static NOINLINE void code_tile(int32_t *sums, const int16_t *queries, const int8_t *panel, int32_t stride) {
    struct tile t = {{wasm_i32x4_splat(0)}, {wasm_i32x4_splat(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t left = stride; left > 0; left -= PAIR) {
        PIN(t, queries, never);
        v128_t q = wasm_v128_load(queries), a = wasm_i16x8_load8x8(panel), b = wasm_i16x8_load8x8(panel + 8);
        add_pair(&t.low[0], &t.high[0], wasm_i32x4_shuffle(q, q, 0, 0, 0, 0), a, b);
        add_pair(&t.low[1], &t.high[1], wasm_i32x4_shuffle(q, q, 1, 1, 1, 1), a, b);
        add_pair(&t.low[2], &t.high[2], wasm_i32x4_shuffle(q, q, 2, 2, 2, 2), a, b);
        add_pair(&t.low[3], &t.high[3], wasm_i32x4_shuffle(q, q, 3, 3, 3, 3), a, b);
        queries += TILE_ROWS * PAIR;
        panel += TILE_COLUMNS * PAIR;
        __asm__ volatile("" : "+r"(queries), "+r"(panel));
    }
    store_tile((float *)sums, TILE_COLUMNS, &t);
}

/* One query, the first of a packed four. */
static NOINLINE void code_row(int32_t *sums, const int16_t *query, const int8_t *panel, int32_t stride) {
    v128_t low = wasm_i32x4_splat(0), high = low, low2 = low, high2 = low;
    for (int32_t i = 0; i < stride; i += 2 * PAIR) {
        v128_t q = wasm_v128_load32_splat(query), p = wasm_v128_load32_splat(query + TILE_ROWS * PAIR);
        add_pair(&low, &high, q, wasm_i16x8_load8x8(panel), wasm_i16x8_load8x8(panel + 8));
        add_pair(&low2, &high2, p, wasm_i16x8_load8x8(panel + 16), wasm_i16x8_load8x8(panel + 24));
        query += 2 * TILE_ROWS * PAIR;
        panel += 2 * TILE_COLUMNS * PAIR;
    }
    wasm_v128_store(sums, wasm_i32x4_add(low, low2));
    wasm_v128_store(sums + 4, wasm_i32x4_add(high, high2));
}

/* Four distances from their sums of products. */
INLINE f32x4 distances_of(v128_t sums, f32x4 scale, f32x4 query_scale, const float *squares, float query_square) {
    f32x4 product = mul_f32x4(wasm_f32x4_convert_i32x4(sums), mul_f32x4(scale, query_scale));
    if (!squares) return sub_f32x4(splat_f32x4(0), product);
    f32x4 both = add_f32x4(load_f32x4(squares), splat_f32x4(query_square));
    return sub_f32x4(both, add_f32x4(product, product));
}

static void offer_sums(const struct flat_search_arguments *args, struct flat_workspace *w, const int32_t *sums,
                       int32_t first, int32_t query, int32_t queries, int32_t position) {
    f32x4 low_scale = load_f32x4(args->scales + position), high_scale = load_f32x4(args->scales + position + 4);
    const float *squares = args->metric == METRIC_L2 ? args->squares + position : 0;
    for (int32_t r = 0; r < queries; r++, sums += TILE_COLUMNS) {
        f32x4 scale = splat_f32x4(w->scales[query + r]);
        float square = w->squares[query + r], distances[TILE_COLUMNS];
        f32x4 low = distances_of(wasm_v128_load(sums), low_scale, scale, squares, square);
        f32x4 high = distances_of(wasm_v128_load(sums + 4), high_scale, scale, squares ? squares + 4 : 0, square);
        if (!any_below(low, high, w->bounds[query + r])) continue;
        store_f32x4(distances, low);
        store_f32x4(distances + 4, high);
        flat_offer(args, w, distances, first, query + r, 1, position);
    }
}

static void search_block(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                         int32_t count) {
    const int8_t *panels = args->panels;
    const int16_t *queries = (const int16_t *)w->queries;
    int32_t stride = row_stride(args->dim), sums[TILE_ROWS * TILE_COLUMNS];
    for (int32_t position = args->begin; position < args->end; position += TILE_COLUMNS) {
        if (panel_is_masked(args->mask, position, args->end)) continue;
        const int8_t *panel = panels + (size_t)position * stride;
        for (int32_t q = 0; q < count; q += TILE_ROWS) {
            int32_t some = count - q < TILE_ROWS ? count - q : TILE_ROWS;
            if (some == 1) {
                code_row(sums, queries + q * stride, panel, stride);
            } else {
                code_tile(sums, queries + q * stride, panel, stride);
            }
            offer_sums(args, w, sums, first, q, some, position);
        }
    }
}

EXPORT(flat_search_i8)
int32_t flat_search_i8(const struct flat_search_arguments *args) {
    if (args->dim < 1 || args->dim > INDEX_MAX_DIM || args->k < 1 || args->begin % TILE_COLUMNS)
        return STATUS_BAD_ARGUMENT;
    struct flat_workspace *w = args->workspace;
    int32_t block = flat_block(row_stride(args->dim) * (int32_t)sizeof(int16_t));
    for (int32_t first = 0; first < args->query_count; first += block) {
        int32_t count = args->query_count - first < block ? args->query_count - first : block;
        pack_queries(args, w, first, count);
        flat_bounds(args, w, first, count);
        search_block(args, w, first, count);
    }
    return STATUS_OK;
}
