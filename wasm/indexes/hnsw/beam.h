/* The beam: the nodes nearest to a point that a search of one level has found so far.
 *
 * It is a sorted list of keys. Each holds a distance, a node, and in the lowest bit a mark that is 1 once the node's
 * links have been followed. Of nodes that are equally near, the last inserted comes first. Copies of one vector are
 * then linked to the copies before them, whose lists have room; otherwise they would all be linked to the first few
 * copies, which would drop the links again.
 */
#ifndef FLASHWASM_INDEXES_HNSW_BEAM_H
#define FLASHWASM_INDEXES_HNSW_BEAM_H

#include "../keys.h"
#include "graph.h"

#define LAST_NODE 0x7fffffffu
static inline uint64_t beam_key(float distance, uint32_t node) { return make_key(distance, (LAST_NODE - node) << 1); }
static inline uint32_t beam_node(uint64_t key) { return LAST_NODE - ((uint32_t)key >> 1); }

/* Inserts a key where it belongs among `count` sorted keys. */
static inline void insert_sorted(uint64_t *keys, int32_t count, uint64_t key) {
    int32_t at = count;
    for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
    keys[at] = key;
}

/* Reads a word of every cache line of some nodes' vectors, so that the waits for memory overlap. */
void touch_vectors(const struct hnsw *h, const uint32_t *nodes, int32_t count);

/* Starts a beam that holds one node. */
void begin_beam(const struct hnsw *h, const struct point *p, uint32_t node);

/* Searches a level from the nodes in the beam. The beam then holds the `ef` nodes nearest to the point among those
 * that were reached. */
void search_level(const struct hnsw *h, const struct point *p, int32_t level, int32_t ef);

/* Searches from the entry node down to the level above `level`; the beam then holds where to begin on `level`. */
void descend(const struct hnsw *h, const struct point *p, int32_t level);

#endif
