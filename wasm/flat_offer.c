/* From distances to the best k of each query: see flat.h. */
#include "flat.h"

void flat_bounds(const struct flat_search_arguments *args, struct flat_workspace *w, int32_t first, int32_t count) {
    for (int32_t q = 0; q < count; q++) w->bounds[q] = key_distance(args->keys[(size_t)(first + q) * args->k]);
}

void flat_offer(const struct flat_search_arguments *args, struct flat_workspace *w, const float *distances,
                int32_t first, int32_t query, int32_t queries, int32_t position) {
    int32_t count = args->end - position < TILE_COLUMNS ? args->end - position : TILE_COLUMNS;
    for (int32_t r = 0; r < queries; r++) {
        uint64_t *heap = args->keys + (size_t)(first + query + r) * args->k;
        for (int32_t i = 0; i < count; i++) {
            if (args->mask && !args->mask[position + i]) continue;
            offer_key(heap, args->k, make_key(distances[r * TILE_COLUMNS + i], (uint32_t)(position + i)));
        }
        w->bounds[query + r] = key_distance(heap[0]);
    }
}
