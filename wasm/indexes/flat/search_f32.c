/* The k vectors that are exactly nearest to each query.
 *
 *   cosine: -q.c of unit vectors     dot: -q.c     l2: |q - c|^2
 *
 *   panels [n / 8][dim][8]; queries [query_count][dim]; keys [query_count][k], heaps
 *
 * A tile is four queries by one panel. The first four queries are compared with a block of panels while it is read from
 * memory, and the next ones find it in the cache. A single query is compared with four panels at a time. Each distance
 * is one chain of multiply-adds over dim, regardless of the number of queries. The matrix of distances is not stored:
 * the distances of a tile are offered to the heaps immediately.
 *
 * With `candidates`, only the candidates are ranked instead of all vectors: see rank_candidates.
 *
 * Workspace: struct flat_workspace.
 */
#include "../../shared/pack.h"
#include "../keys.h"
#include "../store.h"
#include "dot_tile.h"
#include "offer.h"

enum {
    QUERY_BYTES = WORKSPACE_BYTES / 2,
    BLOCK_BYTES = 192 << 10, /* The panels of a block, which stay in the L2 cache while all queries are compared. */
};

struct flat_workspace {
    float row[TILE_ROWS * INDEX_MAX_DIM];       /* Four prepared queries before they are packed. */
    float queries[QUERY_BYTES / sizeof(float)]; /* Packed queries, four side by side. */
    float bounds[FLAT_QUERIES];                 /* The greatest distance in each query's heap. */
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
    /* A single query fills all four places: see search_fours. */
    for (int32_t j = 0; count == 1 && j < dim; j++) store_f32x4(w->queries + j * TILE_ROWS, splat_f32x4(w->row[j]));
}

/* Limits eight distances to [-1, 1] if they are cosines. */
INLINE void clamp_cosines(float *eight, int32_t metric) {
    if (metric != METRIC_COSINE) return;
    f32x4 least = splat_f32x4(-1.0f), greatest = splat_f32x4(1.0f);
    store_f32x4(eight, pmin_f32x4(pmax_f32x4(load_f32x4(eight), least), greatest));
    store_f32x4(eight + 4, pmin_f32x4(pmax_f32x4(load_f32x4(eight + 4), least), greatest));
}

/* Offers the rows of a tile to their queries, except rows without a distance within the query's bound. */
INLINE void offer_tile(const struct flat_search_arguments *args, struct flat_workspace *w, float *distances,
                       int32_t first, int32_t query, int32_t queries, int32_t position) {
    for (int32_t r = 0; r < queries; r++) {
        float *eight = distances + r * TILE_COLUMNS;
        if (!any_within(load_f32x4(eight), load_f32x4(eight + 4), w->bounds[query + r])) continue;
        clamp_cosines(eight, args->metric);
        w->bounds[query + r] = flat_offer(args, eight, first + query + r, position);
    }
}

/* Computes the distances of four packed queries from one panel. */
INLINE void four_by_panel(const struct flat_search_arguments *args, float *distances, const float *queries,
                          const float *panel) {
    if (args->metric == METRIC_L2) {
        square_distance_tile(distances, queries, panel, args->dim);
    } else {
        dot_tile(distances, queries, panel, args->dim);
    }
}

/* Searches four panels at a time for query `first`, which is packed four times. Returns the position at which fewer
 * than four panels are left. */
static int32_t search_fours(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first) {
    int32_t dim = args->dim, begin = args->begin, apart = positions_apart(args->mask, args->end - begin);
    const float *panels = args->panels;
    float distances[TILE_ROWS * TILE_COLUMNS];
    for (; apart && args->end - begin >= TILE_ROWS * apart; begin += TILE_ROWS * apart) {
        for (int32_t position = begin; position < begin + apart; position += TILE_COLUMNS) {
            if (all_masked(args->mask, position, TILE_ROWS * TILE_COLUMNS)) continue;
            const float *panel = panels + (size_t)position * dim;
            if (args->metric == METRIC_L2) {
                square_four_panels(distances, w->queries, panel, (size_t)apart * dim, dim);
            } else {
                dot_four_panels(distances, w->queries, panel, (size_t)apart * dim, dim);
            }
            for (int32_t r = 0; r < TILE_ROWS; r++) {
                offer_tile(args, w, distances + r * TILE_COLUMNS, first, 0, 1, position + r * apart);
            }
        }
    }
    return begin;
}

/* Searches for `count` packed queries, the first of which is query `first`. */
static void search_block(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first,
                         int32_t count) {
    const float *panels = args->panels;
    int32_t dim = args->dim;
    float distances[TILE_ROWS * TILE_COLUMNS];
    for (int32_t q = 0; q < count; q++) w->bounds[q] = flat_bound(args, first + q);
    int32_t begin = count == 1 ? search_fours(args, w, first) : args->begin;
    int32_t block = BLOCK_BYTES / (dim * (int32_t)sizeof(float)) / TILE_COLUMNS * TILE_COLUMNS;
    if (block < TILE_COLUMNS) block = TILE_COLUMNS;
    for (; begin < args->end; begin += block) {
        int32_t end = args->end - begin < block ? args->end : begin + block;
        for (int32_t q = 0; q < count; q += TILE_ROWS) {
            for (int32_t position = begin; position < end; position += TILE_COLUMNS) {
                if (panel_is_masked(args->mask, position, args->end)) continue;
                four_by_panel(args, distances, w->queries + q * dim, panels + (size_t)position * dim);
                offer_tile(args, w, distances, first, q, count - q < TILE_ROWS ? count - q : TILE_ROWS, position);
            }
        }
    }
}

/* Ranks a query's candidates by their exact distances. Their keys contain lower bounds in ascending order, so the
 * loop ends when a bound exceeds the greatest distance in the heap. */
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
