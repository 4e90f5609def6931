/* Reading a graph's arguments and vectors: see graph.h. */
#include "graph.h"

#include "../store.h"

struct hnsw hnsw_of(const struct hnsw_arguments *args) {
    struct hnsw h = {args,
                     args->workspace,
                     {args->rows, args->codes, args->scales, args->squares, row_stride(args->dim), args->metric}};
    return h;
}

int hnsw_arguments_are_valid(const struct hnsw_arguments *args) {
    return args->dim >= 1 && args->dim <= INDEX_MAX_DIM && args->m >= 1 && args->m <= INDEX_MAX_LINKS &&
           args->ef >= 1 && args->ef <= INDEX_MAX_EF && args->count >= 0;
}

struct point stored_point(const struct hnsw *h, uint32_t node, int16_t *codes) {
    const struct vectors *v = &h->vectors;
    struct point p = {v->rows + (size_t)node * v->stride, 0, 0, 0};
    if (!v->codes) return p;
    const int8_t *stored = v->codes + (size_t)node * v->stride;
    for (int32_t i = 0; i < v->stride; i++) codes[i] = stored[i];
    p.codes = codes;
    p.scale = v->scales[node];
    p.square = v->squares[node];
    return p;
}
