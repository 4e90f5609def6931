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

/* Returns 1 if a mask excludes all eight vectors of the panel at `position`. */
INLINE int panel_is_masked(const uint8_t *mask, int32_t position, int32_t end) {
    if (!mask) return 0;
    for (int32_t i = position; i < end && i < position + TILE_COLUMNS; i++) {
        if (mask[i]) return 0;
    }
    return 1;
}

/* Returns 1 if one of eight distances is below a bound. An equal distance would not enter the heap, since positions
 * rise during a search and of equal distances the lower position wins. */
INLINE int any_below(f32x4 low, f32x4 high, float bound) {
    f32x4 greatest = splat_f32x4(bound);
    return wasm_v128_any_true(wasm_v128_or(wasm_f32x4_lt(low, greatest), wasm_f32x4_lt(high, greatest)));
}

/* Returns the greatest distance in a query's heap. */
float flat_bound(const struct flat_search_arguments *args, int32_t query);

/* Offers the distances of the panel at `position` to a query; returns the greatest distance in its heap afterwards. */
float flat_offer(const struct flat_search_arguments *args, const float *distances, int32_t query, int32_t position);

#endif
