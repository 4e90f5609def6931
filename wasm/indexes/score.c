/* The k rows of a range that are exactly nearest to each query.
 *
 *   queries [query_count][dim]; rows [n][stride], of which [begin, end) are searched; keys [query_count][k], heaps
 *
 * All queries are compared with a block of rows while it is in the cache. The heaps are initially full of NO_KEY;
 * further calls with the same heaps continue the search with other rows.
 *
 * Workspace: prepared queries.
 */
#include "distances.h"
#include "keys.h"
#include "store.h"

enum { QUERY_FLOATS = WORKSPACE_BYTES / sizeof(float) };

/* Offers rows [begin, end), except those that the mask excludes, to one query's heap. */
static void score_block(const struct index_score_f32_arguments *args, const struct vectors *v, const float *query,
                        uint64_t *heap, int32_t begin, int32_t end) {
    uint32_t positions[INDEX_BATCH];
    float distances[INDEX_BATCH];
    int32_t count = 0;
    for (int32_t i = begin; i < end; i++) {
        positions[count] = (uint32_t)i;
        count += !args->mask || args->mask[i];
    }
    if (count == 0) return;
    row_distances(distances, v, query, positions, count);
    for (int32_t i = 0; i < count; i++) offer_key(heap, args->k, make_key(distances[i], positions[i]));
}

EXPORT(index_score_f32)
int32_t index_score_f32(const struct index_score_f32_arguments *args) {
    int32_t dim = args->dim, stride = row_stride(dim);
    if (dim < 1 || dim > INDEX_MAX_DIM || args->k < 1 || args->query_count < 0) return STATUS_BAD_ARGUMENT;
    struct vectors v = {args->rows, 0, 0, 0, stride, args->metric};
    float *prepared = args->workspace;
    int32_t block = QUERY_FLOATS / stride;
    for (int32_t first = 0; first < args->query_count; first += block) {
        int32_t count = args->query_count - first < block ? args->query_count - first : block;
        for (int32_t q = 0; q < count; q++) {
            prepare_row(prepared + q * stride, args->queries + (size_t)(first + q) * dim, dim, args->metric);
        }
        for (int32_t begin = args->begin; begin < args->end; begin += INDEX_BATCH) {
            int32_t end = args->end - begin < INDEX_BATCH ? args->end : begin + INDEX_BATCH;
            for (int32_t q = 0; q < count; q++) {
                score_block(args, &v, prepared + q * stride, args->keys + (size_t)(first + q) * args->k, begin, end);
            }
        }
    }
    return STATUS_OK;
}
