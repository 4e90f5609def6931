/* The k vectors of panels [n / 8][dim][8] that are nearest to each query, exactly.
 *
 *   cosine: -q.c of unit vectors     dot: -q.c     l2: |q - c|^2
 *
 * A tile is four queries by one panel, and the panels are one stream through memory. Every distance is
 * one chain over dim, however many queries are asked together. Tiles are not stored: their smallest
 * distances are offered to the heaps at once.
 */
#include "flat.h"

enum { QUERY_BYTES = WORKSPACE_BYTES / 2 };

struct flat_workspace {
    float row[TILE_ROWS * INDEX_MAX_DIM];       /* Prepared queries on their way into the packed ones. */
    float queries[QUERY_BYTES / sizeof(float)]; /* Packed, four side by side. */
    float bounds[FLAT_QUERIES];                 /* The greatest distance of each query's heap. */
};
_Static_assert(sizeof(struct flat_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

static void pack_queries(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                         int32_t count) {
    int32_t dim = args->dim, stride = row_stride(dim);
    for (int32_t q = 0; q < count; q += TILE_ROWS) {
        int32_t rows = count - q < TILE_ROWS ? count - q : TILE_ROWS;
        for (int32_t r = 0; r < rows; r++) {
            prepare_row(w->row + r * stride, args->queries + (size_t)(first + q + r) * dim, dim, args->metric);
        }
        pack_rows_f32(w->queries + q * dim, w->row, stride, rows, dim, TILE_ROWS, 1.0f);
    }
}

static NOINLINE void dot_tile(float *distances, const float *queries, const float *panel, int32_t dim) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    sweep_tile(&t, queries, panel, dim);
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = sub_f32x4(splat_f32x4(0), t.low[r]);
        t.high[r] = sub_f32x4(splat_f32x4(0), t.high[r]);
    }
    store_tile(distances, TILE_COLUMNS, &t);
}

INLINE f32x4 add_square_of_difference(f32x4 sum, f32x4 q, f32x4 x) {
    f32x4 d = sub_f32x4(q, x);
    return fma_f32x4(d, d, sum);
}

static NOINLINE void l2_tile(float *distances, const float *queries, const float *panel, int32_t dim) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t j = 0; j < dim; j++) {
        PIN(t, queries, never);
        f32x4 q = load_f32x4(queries), low = load_f32x4(panel), high = load_f32x4(panel + 4);
        f32x4 q0 = wasm_i32x4_shuffle(q, q, 0, 0, 0, 0), q1 = wasm_i32x4_shuffle(q, q, 1, 1, 1, 1);
        f32x4 q2 = wasm_i32x4_shuffle(q, q, 2, 2, 2, 2), q3 = wasm_i32x4_shuffle(q, q, 3, 3, 3, 3);
        t.low[0] = add_square_of_difference(t.low[0], q0, low);
        t.high[0] = add_square_of_difference(t.high[0], q0, high);
        t.low[1] = add_square_of_difference(t.low[1], q1, low);
        t.high[1] = add_square_of_difference(t.high[1], q1, high);
        t.low[2] = add_square_of_difference(t.low[2], q2, low);
        t.high[2] = add_square_of_difference(t.high[2], q2, high);
        t.low[3] = add_square_of_difference(t.low[3], q3, low);
        t.high[3] = add_square_of_difference(t.high[3], q3, high);
        queries += TILE_ROWS;
        panel += TILE_COLUMNS;
        __asm__ volatile("" : "+r"(queries), "+r"(panel));
    }
    store_tile(distances, TILE_COLUMNS, &t);
}

/* One query, the first of a packed four, meets two panels: four chains, or one would wait for another. */
static NOINLINE void dot_two_panels(float *distances, const float *query, const float *panel, int32_t dim) {
    const float *next = panel + (size_t)dim * TILE_COLUMNS;
    f32x4 a = splat_f32x4(0), b = a, c = a, d = a;
    for (int32_t j = 0; j < dim; j++) {
        f32x4 q = splat_f32x4(query[j * TILE_ROWS]);
        a = fma_f32x4(q, load_f32x4(panel + j * TILE_COLUMNS), a);
        b = fma_f32x4(q, load_f32x4(panel + j * TILE_COLUMNS + 4), b);
        c = fma_f32x4(q, load_f32x4(next + j * TILE_COLUMNS), c);
        d = fma_f32x4(q, load_f32x4(next + j * TILE_COLUMNS + 4), d);
    }
    f32x4 zero = splat_f32x4(0);
    store_f32x4(distances, sub_f32x4(zero, a));
    store_f32x4(distances + 4, sub_f32x4(zero, b));
    store_f32x4(distances + TILE_COLUMNS, sub_f32x4(zero, c));
    store_f32x4(distances + TILE_COLUMNS + 4, sub_f32x4(zero, d));
}

/* Eight distances of a tile; cosines are kept in [-1, 1]. */
INLINE void clamp_cosines(float *eight, int32_t metric) {
    if (metric != METRIC_COSINE) return;
    f32x4 least = splat_f32x4(-1.0f), greatest = splat_f32x4(1.0f);
    store_f32x4(eight, pmin_f32x4(pmax_f32x4(load_f32x4(eight), least), greatest));
    store_f32x4(eight + 4, pmin_f32x4(pmax_f32x4(load_f32x4(eight + 4), least), greatest));
}

/* Offers a tile's rows that have something to offer. */
INLINE void offer_tile(const struct flat_search_arguments *args, struct flat_workspace *w, float *distances,
                       int32_t first, int32_t query, int32_t queries, int32_t position) {
    for (int32_t r = 0; r < queries; r++) {
        float *eight = distances + r * TILE_COLUMNS;
        if (!any_below(load_f32x4(eight), load_f32x4(eight + 4), w->bounds[query + r])) continue;
        clamp_cosines(eight, args->metric);
        w->bounds[query + r] = flat_offer(args, eight, first + query + r, position);
    }
}

/* Four packed queries by one panel. */
INLINE void four_by_panel(const struct flat_search_arguments *args, float *distances, const float *queries,
                          const float *panel) {
    if (args->metric == METRIC_L2) {
        l2_tile(distances, queries, panel, args->dim);
    } else {
        dot_tile(distances, queries, panel, args->dim);
    }
}

static void search_block(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                         int32_t count) {
    const float *panels = args->panels;
    int32_t dim = args->dim;
    float distances[TILE_ROWS * TILE_COLUMNS];
    for (int32_t q = 0; q < count; q++) w->bounds[q] = flat_bound(args, first + q);
    for (int32_t position = args->begin; position < args->end; position += TILE_COLUMNS) {
        if (panel_is_masked(args->mask, position, args->end)) continue;
        const float *panel = panels + (size_t)position * dim;
        if (count == 1 && args->metric != METRIC_L2 && position + TILE_COLUMNS < args->end) {
            dot_two_panels(distances, w->queries, panel, dim);
            offer_tile(args, w, distances, first, 0, 1, position);
            position += TILE_COLUMNS;
            offer_tile(args, w, distances + TILE_COLUMNS, first, 0, 1, position);
            continue;
        }
        for (int32_t q = 0; q < count; q += TILE_ROWS) {
            four_by_panel(args, distances, w->queries + q * dim, panel);
            offer_tile(args, w, distances, first, q, count - q < TILE_ROWS ? count - q : TILE_ROWS, position);
        }
    }
}

/* Offers a query its candidates, until those that are left cannot be among its best. */
static void rank_candidates(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                            int32_t query) {
    int32_t candidates = args->end - args->begin, lane = query % TILE_ROWS * TILE_COLUMNS;
    const float *panels = args->panels, *four = w->queries + (query - query % TILE_ROWS) * args->dim;
    const uint64_t *bounds = args->candidates + (size_t)(first + query) * candidates;
    uint64_t *heap = args->keys + (size_t)(first + query) * args->k;
    float distances[TILE_ROWS * TILE_COLUMNS];
    for (int32_t i = 0; i < candidates && bounds[i] >> 32 <= heap[0] >> 32; i++) {
        uint32_t position = (uint32_t)bounds[i], column = position % TILE_COLUMNS;
        if (position == NO_POSITION) break;
        four_by_panel(args, distances, four, panels + (size_t)(position - column) * args->dim);
        clamp_cosines(distances + lane, args->metric);
        offer_key(heap, args->k, make_key(distances[lane + column], position));
    }
}

EXPORT(flat_search_f32)
int32_t flat_search_f32(const struct flat_search_arguments *args) {
    if (args->dim < 1 || args->dim > INDEX_MAX_DIM || args->k < 1 || args->begin % TILE_COLUMNS)
        return STATUS_BAD_ARGUMENT;
    struct flat_workspace *w = args->workspace;
    int32_t block = flat_block(QUERY_BYTES, args->dim * (int32_t)sizeof(float), TILE_ROWS);
    for (int32_t first = 0; first < args->query_count; first += block) {
        int32_t count = args->query_count - first < block ? args->query_count - first : block;
        pack_queries(args, w, first, count);
        if (!args->candidates) search_block(args, w, first, count);
        for (int32_t q = 0; args->candidates && q < count; q++) rank_candidates(args, w, first, q);
    }
    return STATUS_OK;
}
