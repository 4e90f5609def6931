/* Offering distances to the heaps: see offer.h. */
#include "offer.h"

#include "../keys.h"

float flat_bound(const struct flat_search_arguments *args, int32_t query) {
    return key_distance(args->keys[(size_t)query * args->k]);
}

float flat_offer(const struct flat_search_arguments *args, const float *distances, int32_t query, int32_t position) {
    int32_t count = args->end - position < TILE_COLUMNS ? args->end - position : TILE_COLUMNS;
    uint64_t *heap = args->keys + (size_t)query * args->k;
    for (int32_t i = 0; i < count; i++) {
        if (args->mask && !args->mask[position + i]) continue;
        offer_key(heap, args->k, make_key(distances[i], (uint32_t)(position + i)));
    }
    return key_distance(heap[0]);
}
