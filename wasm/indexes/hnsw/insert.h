/* Linking one node on one level. */
#ifndef FLASHWASM_INDEXES_HNSW_INSERT_H
#define FLASHWASM_INDEXES_HNSW_INSERT_H

#include "graph.h"

/* Searches a level, from the nodes in the beam, for the neighbours of a node that has no links there yet, and links
 * the node and its neighbours in both directions. */
void link_node(const struct hnsw *h, const struct point *p, uint32_t node, int32_t level);

#endif
