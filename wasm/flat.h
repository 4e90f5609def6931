/* What the two searches of panels share: prepared queries, and how scores reach the heaps. */
#ifndef FLASHWASM_FLAT_H
#define FLASHWASM_FLAT_H

#include "index.h"
#include "tile.h"

enum {
    FLAT_QUERIES = 256, /* Queries that meet a panel while it is in the cache. */
    FLAT_QUERY_BYTES = WORKSPACE_BYTES / 2,
};

struct flat_workspace {
    float row[TILE_ROWS * INDEX_MAX_DIM]; /* Prepared queries on their way into the packed ones. */
    char queries[FLAT_QUERY_BYTES];       /* Packed, four side by side. */
    float bounds[FLAT_QUERIES];           /* The greatest distance of each query's heap. */
    float scales[FLAT_QUERIES], squares[FLAT_QUERIES];
    int16_t codes[INDEX_MAX_DIM];
};
_Static_assert(sizeof(struct flat_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* Queries whose packed vectors, of `bytes` each, fit: a multiple of four. */
INLINE int32_t flat_block(int32_t bytes) {
    int32_t block = FLAT_QUERY_BYTES / bytes / TILE_ROWS * TILE_ROWS;
    return block < FLAT_QUERIES ? block : FLAT_QUERIES;
}

/* Whether a mask leaves out all eight vectors of the panel at `position`. */
INLINE int panel_is_masked(const uint8_t *mask, int32_t position, int32_t end) {
    if (!mask) return 0;
    for (int32_t i = position; i < end && i < position + TILE_COLUMNS; i++) {
        if (mask[i]) return 0;
    }
    return 1;
}

/* Offers the distances of `queries` queries, [4][8], from the panel at `position`. */
void flat_offer(const struct flat_search_arguments *args, struct flat_workspace *w, const float *distances,
                int32_t first, int32_t query, int32_t queries, int32_t position);

/* Reads the bounds of `count` queries from their heaps. */
void flat_bounds(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first, int32_t count);

/* Whether one of eight distances may be among the best of a query: positions rise, so an equal one is not. */
INLINE int any_below(f32x4 low, f32x4 high, float bound) {
    f32x4 greatest = splat_f32x4(bound);
    return wasm_v128_any_true(wasm_v128_or(wasm_f32x4_lt(low, greatest), wasm_f32x4_lt(high, greatest)));
}

#endif
