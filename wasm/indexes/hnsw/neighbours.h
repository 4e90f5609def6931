/* Choosing the neighbours of a node, and linking it with them. */
#ifndef FLASHWASM_INDEXES_HNSW_NEIGHBOURS_H
#define FLASHWASM_INDEXES_HNSW_NEIGHBOURS_H

#include "graph.h"

/* Selects at most `most` nodes from `count` sorted keys of a beam; returns their number. */
int32_t select_neighbours(const struct hnsw *h, const uint64_t *keys, int32_t count, int32_t most, uint32_t *selected);

/* Replaces a node's links on a level; the node itself fills the rest of the list. */
void set_links(const struct hnsw *h, uint32_t node, int32_t level, const uint32_t *selected, int32_t count);

/* Adds a link from `node` to `other`. If the list is full, its links are selected again from the old links and the
 * new one. */
void link_to(const struct hnsw *h, uint32_t node, uint32_t other, int32_t level);

#endif
