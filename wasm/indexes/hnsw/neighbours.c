/* Choosing neighbours: Algorithm 4 without its extensions; and links in both directions.
 *
 * A candidate is selected if no previously selected neighbour is nearer to it than the node is. Copies of one vector
 * are a special case: they are as far from each other as from the node. Copies may fill at most half of the list, which
 * leaves the other half for other nodes. Otherwise copies would be linked only to each other, and a search could not
 * leave them.
 */
#include "neighbours.h"

#include "beam.h"

enum { DISTANCES_AT_ONCE = 8 }; /* Distances that are computed before the loop checks them. */

int32_t select_neighbours(const struct hnsw *h, const uint64_t *keys, int32_t count, int32_t most, uint32_t *selected) {
    float taken[HNSW_LIST]; /* The distances of the selected neighbours from the node. */
    int32_t kept = 0, ties = 0;
    for (int32_t i = 0; i < count && kept < most; i++) {
        uint32_t candidate = beam_node(keys[i]);
        float own = key_distance(keys[i]), distances[DISTANCES_AT_ONCE];
        int nearer = 0, equal = 0;
        struct point p = stored_point(h, candidate, h->w->other_codes);
        for (int32_t at = 0; at < kept && !nearer; at += DISTANCES_AT_ONCE) {
            int32_t some = kept - at < DISTANCES_AT_ONCE ? kept - at : DISTANCES_AT_ONCE;
            distances_from(h, distances, &p, selected + at, some);
            for (int32_t j = 0; j < some; j++) {
                nearer |= distances[j] < own;
                equal |= distances[j] == own && taken[at + j] == own;
            }
        }
        if (nearer || (equal && ties >= most / 2)) continue;
        ties += equal;
        taken[kept] = own;
        selected[kept++] = candidate;
    }
    return kept;
}

void set_links(const struct hnsw *h, uint32_t node, int32_t level, const uint32_t *selected, int32_t count) {
    uint32_t *links = links_of(h, node, level);
    int32_t length = list_length(h, level);
    for (int32_t i = 0; i < length; i++) links[i] = i < count ? selected[i] : node;
}

void link_to(const struct hnsw *h, uint32_t node, uint32_t other, int32_t level) {
    uint32_t *links = links_of(h, node, level), *selected = h->w->selected;
    int32_t length = list_length(h, level), count = 0;
    for (; count < length && links[count] != node; count++) {
        if (links[count] == other) return;
    }
    if (count < length) {
        links[count] = other;
        return;
    }
    float *distances = h->w->distances;
    uint64_t *keys = h->w->candidates;
    struct point p = stored_point(h, node, h->w->other_codes);
    distances_from(h, distances, &p, links, length);
    for (int32_t i = 0; i < length; i++) insert_sorted(keys, i, beam_key(distances[i], links[i]));
    distances_from(h, distances, &p, &other, 1);
    insert_sorted(keys, length, beam_key(distances[0], other));
    set_links(h, node, level, selected, select_neighbours(h, keys, length + 1, length, selected));
}
