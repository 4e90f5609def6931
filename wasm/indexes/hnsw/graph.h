/* The graph of an HNSW index, and the workspace of the kernels that work on it.
 *
 * The algorithms are those of Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
 * Hierarchical Navigable Small World graphs", arXiv 1603.09320; comments refer to the paper's algorithm numbers. No
 * file in this folder uses vector instructions, so every variant is compiled from the same files and builds the same
 * graph.
 */
#ifndef FLASHWASM_INDEXES_HNSW_GRAPH_H
#define FLASHWASM_INDEXES_HNSW_GRAPH_H

#include "../distances.h"

enum {
    HNSW_TRAIL = 1 << 14,            /* Visited nodes that are recorded, so that their marks can be cleared. */
    HNSW_GREEDY_EF = 4,              /* Nodes that are kept on the levels above the searched level. */
    HNSW_LIST = 2 * INDEX_MAX_LINKS, /* The length of the longest list of links, which is on level 0. */
};
_Static_assert(HNSW_LIST >= INDEX_BATCH, "a list holds a batch of distances");

struct hnsw_workspace {
    int32_t beam_size, next;                 /* Keys in the beam; those before `next` have been expanded. */
    int32_t trail_size, trail_full;          /* trail_full is 1 if more nodes were visited than fit into the trail. */
    uint64_t beam[INDEX_MAX_EF + HNSW_LIST]; /* See beam.h; with room for merging a list. */
    uint64_t candidates[INDEX_MAX_EF];       /* Keys from which neighbours are selected. */
    uint32_t trail[HNSW_TRAIL + HNSW_LIST];
    float distances[HNSW_LIST + 4];
    uint32_t selected[HNSW_LIST];
    float row[INDEX_MAX_DIM];           /* The query of a search. */
    int16_t codes[INDEX_MAX_DIM];       /* The codes of the query, or of the inserted or repaired node. */
    int16_t other_codes[INDEX_MAX_DIM]; /* The codes of a candidate that is compared with others. */
};
_Static_assert(sizeof(struct hnsw_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* A call's arguments, workspace and vectors. */
struct hnsw {
    const struct hnsw_arguments *args;
    struct hnsw_workspace *w;
    struct vectors vectors;
};

struct hnsw hnsw_of(const struct hnsw_arguments *args);
int hnsw_arguments_are_valid(const struct hnsw_arguments *args);

/* Returns the number of links of a node on a level. */
static inline int32_t list_length(const struct hnsw *h, int32_t level) {
    return level == 0 ? 2 * h->args->m : h->args->m;
}

/* Returns the list of a node's links on a level. */
static inline uint32_t *links_of(const struct hnsw *h, uint32_t node, int32_t level) {
    size_t m = (size_t)h->args->m;
    if (level == 0) return h->args->links + node * 2 * m;
    return h->args->upper_links + (h->args->upper_at[node] + (size_t)level - 1) * m;
}

/* Returns the stored vector of a node as a point; its codes, if there are any, are widened into `codes`. */
struct point stored_point(const struct hnsw *h, uint32_t node, int16_t *codes);

static inline void distances_from(const struct hnsw *h, float *out, const struct point *p, const uint32_t *nodes,
                                  int32_t count) {
    if (p->codes) {
        code_distances(out, &h->vectors, p, nodes, count);
    } else {
        row_distances(out, &h->vectors, p->row, nodes, count);
    }
}

/* Marks a node as visited; returns 1 if it was not marked before. */
static inline uint32_t visit(uint32_t *visited, uint32_t node) {
    uint32_t word = visited[node >> 5], bit = node & 31;
    visited[node >> 5] = word | (1u << bit);
    return ~(word >> bit) & 1;
}

#endif
