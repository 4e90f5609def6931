/* Repairing the graph around removed nodes.
 *
 * `items` [count] contains the remaining nodes that have a link to or from a removed node. Each of them selects its
 * neighbours again, from its remaining neighbours and from the nodes that it reaches through removed nodes, however
 * many of these lie in between. The selected neighbours get a link back. A node that then has no link on level 0 is
 * inserted again. The kernel reads the links of the removed nodes; the caller clears them afterwards. */
#include "beam.h"
#include "insert.h"
#include "neighbours.h"

enum { MOST_FOUND = 256, MOST_REMOVED = 256 }; /* Limits of the search through removed nodes. */

/* Finds remaining nodes near a node, breadth first: its neighbours, and the neighbours of removed neighbours in
 * place of these. Returns their number. */
static int32_t find_staying(const struct hnsw *h, uint32_t node, int32_t level, uint32_t *found) {
    uint32_t removed[MOST_REMOVED], *visited = h->args->visited;
    int32_t staying = 0, queued = 0, length = list_length(h, level);
    visit(visited, node);
    for (int32_t at = -1; at < queued; at++) {
        const uint32_t *links = links_of(h, at < 0 ? node : removed[at], level);
        for (int32_t i = 0; i < length; i++) {
            uint32_t other = links[i];
            int is_gone = h->args->gone[other] != 0;
            if (is_gone ? queued == MOST_REMOVED : staying == MOST_FOUND) continue;
            if (!visit(visited, other)) continue;
            if (is_gone) {
                removed[queued++] = other;
            } else {
                found[staying++] = other;
            }
        }
    }
    visited[node >> 5] = 0;
    for (int32_t i = 0; i < staying; i++) visited[found[i] >> 5] = 0;
    for (int32_t i = 0; i < queued; i++) visited[removed[i] >> 5] = 0;
    return staying;
}

static void repair_level(const struct hnsw *h, const struct point *p, uint32_t node, int32_t level) {
    uint32_t found[MOST_FOUND], chosen[HNSW_LIST];
    uint64_t keys[MOST_FOUND];
    int32_t count = find_staying(h, node, level, found);
    for (int32_t first = 0; first < count; first += INDEX_BATCH) {
        int32_t some = count - first < INDEX_BATCH ? count - first : INDEX_BATCH;
        distances_from(h, h->w->distances, p, found + first, some);
        for (int32_t i = 0; i < some; i++) {
            insert_sorted(keys, first + i, beam_key(h->w->distances[i], found[first + i]));
        }
    }
    int32_t kept = select_neighbours(h, keys, count, list_length(h, level), chosen);
    set_links(h, node, level, chosen, kept);
    for (int32_t i = 0; i < kept; i++) link_to(h, chosen[i], node, level);
}

/* Returns 1 if a node has no link on level 0. */
static int is_alone(const struct hnsw *h, uint32_t node) { return links_of(h, node, 0)[0] == node; }

static void repair(const struct hnsw *h, uint32_t node) {
    uint32_t entry = *h->args->entry;
    struct point p = stored_point(h, node, h->w->codes);
    for (int32_t level = h->args->levels[node]; level >= 0; level--) repair_level(h, &p, node, level);
    if (!is_alone(h, node) || entry == node || entry == NO_POSITION) return;
    descend(h, &p, 0);
    link_node(h, &p, node, 0);
}

EXPORT(hnsw_repair_f32)
int32_t hnsw_repair_f32(const struct hnsw_arguments *args) {
    if (!hnsw_arguments_are_valid(args)) return STATUS_BAD_ARGUMENT;
    struct hnsw h = hnsw_of(args);
    const uint32_t *nodes = args->items;
    for (int32_t i = 0; i < args->count; i++) repair(&h, nodes[i]);
    return STATUS_OK;
}
