/* Inserting nodes into the graph, one after another: Algorithm 1.
 *
 * `items` [count] contains the nodes. The caller stores the vector and the level of each node before the call. The
 * graph depends only on the vectors, the levels and the order of the nodes. */
#include "insert.h"

#include "beam.h"
#include "neighbours.h"

/* Removes a node from the beam, because a search for the neighbours of a repaired node may find the node itself. */
static void drop_from_beam(struct hnsw_workspace *w, uint32_t node) {
    int32_t kept = 0;
    for (int32_t i = 0; i < w->beam_size; i++) {
        w->beam[kept] = w->beam[i];
        kept += beam_node(w->beam[i]) != node;
    }
    w->beam_size = kept;
}

void link_node(const struct hnsw *h, const struct point *p, uint32_t node, int32_t level) {
    uint32_t chosen[INDEX_MAX_LINKS];
    search_level(h, p, level, h->args->ef);
    drop_from_beam(h->w, node);
    int32_t count = select_neighbours(h, h->w->beam, h->w->beam_size, h->args->m, chosen);
    set_links(h, node, level, chosen, count);
    for (int32_t i = 0; i < count; i++) link_to(h, chosen[i], node, level);
}

static void insert(const struct hnsw *h, uint32_t node) {
    uint32_t entry = *h->args->entry;
    int32_t level = h->args->levels[node];
    for (int32_t l = 0; l <= level; l++) set_links(h, node, l, 0, 0);
    if (entry == NO_POSITION) {
        *h->args->entry = node;
        return;
    }
    int32_t top = h->args->levels[entry];
    struct point p = stored_point(h, node, h->w->codes);
    descend(h, &p, level);
    for (int32_t l = level < top ? level : top; l >= 0; l--) link_node(h, &p, node, l);
    if (level > top) *h->args->entry = node;
}

EXPORT(hnsw_insert_f32)
int32_t hnsw_insert_f32(const struct hnsw_arguments *args) {
    if (!hnsw_arguments_are_valid(args)) return STATUS_BAD_ARGUMENT;
    struct hnsw h = hnsw_of(args);
    const uint32_t *nodes = args->items;
    for (int32_t i = 0; i < args->count; i++) {
        insert(&h, nodes[i]);
        args->entry[1]++;
    }
    return STATUS_OK;
}
