/* The part that both searches of panels share: offering distances to the heaps. */
#ifndef FLASHWASM_INDEXES_FLAT_OFFER_H
#define FLASHWASM_INDEXES_FLAT_OFFER_H

#include "../../abi.h"
#include "../../shared/tile.h"

enum { FLAT_QUERIES = 256 }; /* Maximum number of queries that are compared with a panel while it is in the cache. */

/* Returns the number of queries of `bytes` bytes that fit into `room`: a multiple of `group`. */
INLINE int32_t flat_block(int32_t room, int32_t bytes, int32_t group) {
    int32_t block = room / bytes / group * group;
    return block < FLAT_QUERIES ? block : FLAT_QUERIES;
}

/* A single query is compared with four panels at a time, each from a quarter of the panels of its own. Four long
 * streams of memory are read faster than one, and faster than four short ones. With a mask, the four panels are
 * neighbours, so that all four are often excluded. Returns how many positions lie between the panels, 0 if there are
 * fewer than four. */
INLINE int32_t positions_apart(const uint8_t *mask, int32_t positions) {
    int32_t panels = positions / (4 * TILE_COLUMNS);
    return (mask && panels > 0 ? 1 : panels) * TILE_COLUMNS;
}

/* Returns 1 if a mask excludes all `count` vectors from `position`. */
INLINE int all_masked(const uint8_t *mask, int32_t position, int32_t count) {
    if (!mask) return 0;
    for (int32_t i = position; i < position + count; i++) {
        if (mask[i]) return 0;
    }
    return 1;
}

/* Returns 1 if a mask excludes all vectors of the panel at `position`. */
INLINE int panel_is_masked(const uint8_t *mask, int32_t position, int32_t end) {
    return all_masked(mask, position, end - position < TILE_COLUMNS ? end - position : TILE_COLUMNS);
}

/* Returns 1 if one of eight distances is at most a bound. An equal distance enters the heap if its position is
 * lower. */
INLINE int any_within(f32x4 low, f32x4 high, float bound) {
    f32x4 greatest = splat_f32x4(bound);
    return wasm_v128_any_true(wasm_v128_or(wasm_f32x4_le(low, greatest), wasm_f32x4_le(high, greatest)));
}

/* Returns the greatest distance in a query's heap. */
float flat_bound(const struct flat_search_arguments *args, int32_t query);

/* Offers the distances of the panel at `position` to a query; returns the greatest distance in its heap afterwards. */
float flat_offer(const struct flat_search_arguments *args, const float *distances, int32_t query, int32_t position);

#endif
