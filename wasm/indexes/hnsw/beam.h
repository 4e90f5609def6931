/* The beam: the nearest nodes to a point that the search of one level has found so far.
 *
 * It is a sorted list of keys. Each key contains a distance, a node, and in the lowest bit a mark that is 1 once the
 * node's links have been followed. Among nodes at equal distances, the last inserted node comes first. Copies of one
 * vector are thus linked to the previous copies, whose lists have room. Otherwise they would all be linked to the first
 * few copies, which would drop the links again.
 */
#ifndef FLASHWASM_INDEXES_HNSW_BEAM_H
#define FLASHWASM_INDEXES_HNSW_BEAM_H

#include "../keys.h"
#include "graph.h"

#define LAST_NODE 0x7fffffffu
static inline uint64_t beam_key(float distance, uint32_t node) { return make_key(distance, (LAST_NODE - node) << 1); }
static inline uint32_t beam_node(uint64_t key) { return LAST_NODE - ((uint32_t)key >> 1); }

/* Inserts a key into `count` sorted keys. */
static inline void insert_sorted(uint64_t *keys, int32_t count, uint64_t key) {
    int32_t at = count;
    for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
    keys[at] = key;
}

/* Reads a word of every cache line of some nodes' vectors, so that the waits for memory overlap. */
void touch_vectors(const struct hnsw *h, const uint32_t *nodes, int32_t count);

/* Starts a beam with one node. */
void begin_beam(const struct hnsw *h, const struct point *p, uint32_t node);

/* Searches a level from the nodes in the beam. Afterwards the beam contains the `ef` nodes nearest to the point
 * among the reached nodes. */
void search_level(const struct hnsw *h, const struct point *p, int32_t level, int32_t ef);

/* Searches from the entry node down to the level above `level`. Afterwards the beam contains the start nodes for
 * `level`. */
void descend(const struct hnsw *h, const struct point *p, int32_t level);

#endif
