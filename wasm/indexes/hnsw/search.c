/* The k nodes nearest to each query, found approximately with the graph: Algorithm 5.
 *
 *   `items` are queries [count][dim]; keys [count][k], sorted
 *
 * If the graph is searched by codes, the best 2 k nodes found, at least 20, are ranked again by their rows. The
 * distances in the results are always computed from rows. */
#include "../store.h"
#include "beam.h"

enum { LEAST_RANKED = 20 };

/* Prepares a query in the workspace: its row and, if the graph is searched by codes, its codes. */
static struct point query_point(const struct hnsw *h, const float *query) {
    struct hnsw_workspace *w = h->w;
    struct point p = {w->row, 0, 0, 0};
    int32_t stride = h->vectors.stride;
    prepare_row(w->row, query, h->args->dim, h->args->metric);
    if (h->vectors.codes) {
        quantize_row(w->codes, &p.scale, &p.square, w->row, stride, largest_query_code(stride), h->args->metric);
        p.codes = w->codes;
    }
    return p;
}

/* Computes the exact distances of the first `count` nodes of the beam, and sorts the nodes by distance. */
static void rank_again(const struct hnsw *h, int32_t count) {
    struct hnsw_workspace *w = h->w;
    struct vectors rows = h->vectors;
    rows.codes = 0;
    struct hnsw by_rows = {h->args, w, rows};
    struct point p = {w->row, 0, 0, 0};
    for (int32_t first = 0; first < count; first += HNSW_LIST) {
        int32_t some = count - first < HNSW_LIST ? count - first : HNSW_LIST;
        for (int32_t i = 0; i < some; i++) w->selected[i] = beam_node(w->beam[first + i]);
        touch_vectors(&by_rows, w->selected, some);
        distances_from(&by_rows, w->distances, &p, w->selected, some);
        for (int32_t i = 0; i < some; i++) {
            insert_sorted(w->candidates, first + i, beam_key(w->distances[i], w->selected[i]));
        }
    }
    for (int32_t i = 0; i < count; i++) w->beam[i] = w->candidates[i];
}

static void search(const struct hnsw *h, const float *query, uint64_t *keys) {
    struct hnsw_workspace *w = h->w;
    int32_t k = h->args->k, found = 0;
    if (*h->args->entry != NO_POSITION) {
        struct point p = query_point(h, query);
        descend(h, &p, 0);
        search_level(h, &p, 0, h->args->ef);
        found = w->beam_size;
        if (p.codes) {
            int32_t ranked = 2 * k > LEAST_RANKED ? 2 * k : LEAST_RANKED;
            if (found > ranked) found = ranked;
            rank_again(h, found);
        }
    }
    for (int32_t i = 0; i < k; i++) {
        uint64_t key = i < found ? w->beam[i] : NO_KEY;
        insert_sorted(keys, i, i < found ? (key >> 32 << 32 | beam_node(key)) : NO_KEY);
    }
}

EXPORT(hnsw_search_f32)
int32_t hnsw_search_f32(const struct hnsw_arguments *args) {
    if (!hnsw_arguments_are_valid(args) || args->k < 1) return STATUS_BAD_ARGUMENT;
    struct hnsw h = hnsw_of(args);
    const float *queries = args->items;
    for (int32_t i = 0; i < args->count; i++) {
        search(&h, queries + (size_t)i * args->dim, args->keys + (size_t)i * args->k);
    }
    return STATUS_OK;
}
