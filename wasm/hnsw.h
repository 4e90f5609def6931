/* What the parts of the graph index share. The algorithms are those of Malkov and Yashunin, "Efficient and
 * robust approximate nearest neighbor search using Hierarchical Navigable Small World graphs",
 * arXiv 1603.09320; their numbers are given where they are followed. Nothing here uses vectors: the
 * distances are index_distances.c's, and every variant is compiled from the same graph. */
#ifndef FLASHWASM_HNSW_H
#define FLASHWASM_HNSW_H

#include "index.h"

enum {
    HNSW_TRAIL = 1 << 14,            /* Nodes visited that are remembered, to forget them one by one. */
    HNSW_GREEDY_EF = 4,              /* What is kept on the levels above the one that is searched. */
    HNSW_LIST = 2 * INDEX_MAX_LINKS, /* The longest list of links, on level 0. */
};
_Static_assert(HNSW_LIST >= INDEX_BATCH, "a list holds a batch of distances");

/* A beam holds keys in order, each a distance, a node and in the lowest bit whether it was expanded. Of nodes
 * that are equally near the last inserted comes first: copies of one vector then are linked to those before
 * them, whose lists have room, and not all of them to the first few, which would drop them again. */
#define LAST_NODE 0x7fffffffu
static inline uint64_t beam_key(float distance, uint32_t node) { return make_key(distance, (LAST_NODE - node) << 1); }
static inline uint32_t beam_node(uint64_t key) { return LAST_NODE - ((uint32_t)key >> 1); }

struct hnsw_workspace {
    int32_t beam_size, next;                 /* Keys in the beam; none before `next` is to be expanded. */
    int32_t trail_size, trail_full;          /* Whether more nodes were visited than the trail holds. */
    uint64_t beam[INDEX_MAX_EF + HNSW_LIST]; /* With room for what is merged in. */
    uint64_t candidates[INDEX_MAX_EF];       /* What neighbours are selected from. */
    uint32_t trail[HNSW_TRAIL + HNSW_LIST];
    float distances[HNSW_LIST + 4];
    uint32_t selected[HNSW_LIST];
    float row[INDEX_MAX_DIM];           /* The query that is searched for, or */
    int16_t codes[INDEX_MAX_DIM];       /* its codes, or those of the node that is inserted. */
    int16_t other_codes[INDEX_MAX_DIM]; /* Codes of a candidate that is compared with others. */
};
_Static_assert(sizeof(struct hnsw_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* A call's graph, vectors and workspace. */
struct hnsw {
    const struct hnsw_arguments *args;
    struct hnsw_workspace *w;
    struct vectors vectors;
};

struct hnsw hnsw_of(const struct hnsw_arguments *args);
int hnsw_arguments_are_valid(const struct hnsw_arguments *args);

static inline int32_t list_length(const struct hnsw *h, int32_t level) {
    return level == 0 ? 2 * h->args->m : h->args->m;
}

static inline uint32_t *links_of(const struct hnsw *h, uint32_t node, int32_t level) {
    size_t m = (size_t)h->args->m;
    if (level == 0) return h->args->links + node * 2 * m;
    return h->args->upper_links + (h->args->upper_at[node] + (size_t)level - 1) * m;
}

/* A stored vector as a point; its codes are written to `codes`. */
struct point stored_point(const struct hnsw *h, uint32_t node, int16_t *codes);

static inline void distances_from(const struct hnsw *h, float *out, const struct point *p, const uint32_t *nodes,
                                  int32_t count) {
    if (p->codes) {
        code_distances(out, &h->vectors, p, nodes, count);
    } else {
        row_distances(out, &h->vectors, p->row, nodes, count);
    }
}

/* Marks a node; returns whether it was not marked before. */
static inline uint32_t visit(uint32_t *visited, uint32_t node) {
    uint32_t word = visited[node >> 5], bit = node & 31;
    visited[node >> 5] = word | (1u << bit);
    return ~(word >> bit) & 1;
}

/* hnsw_beam.c. Reads a word of every cache line of some nodes' vectors, so that they come together. */
void touch_vectors(const struct hnsw *h, const uint32_t *nodes, int32_t count);

/* The beam after search_level holds the `ef` nodes of a level nearest to the point, among
 * those that are reached from what it held before. */
void begin_beam(const struct hnsw *h, const struct point *p, uint32_t node);
void search_level(const struct hnsw *h, const struct point *p, int32_t level, int32_t ef);

/* From the entry to just above `level`: the beam then holds where to begin there. */
void descend(const struct hnsw *h, const struct point *p, int32_t level);

/* hnsw_select.c: chooses at most `most` of `count` keys, sorted; returns how many. */
int32_t select_neighbours(const struct hnsw *h, const uint64_t *keys, int32_t count, int32_t most, uint32_t *selected);

/* Replaces a node's links; fills the list up with the node itself. */
void set_links(const struct hnsw *h, uint32_t node, int32_t level, const uint32_t *selected, int32_t count);

/* Adds a link from `node` to `other`; a full list is selected anew. */
void link_to(const struct hnsw *h, uint32_t node, uint32_t other, int32_t level);

/* Puts a key where it belongs among `count` that are sorted. */
static inline void insert_sorted(uint64_t *keys, int32_t count, uint64_t key) {
    int32_t at = count;
    for (; at > 0 && keys[at - 1] > key; at--) keys[at] = keys[at - 1];
    keys[at] = key;
}

/* Searches a level for a node that is in the vectors but not yet linked there, and links it both ways. */
void link_node(const struct hnsw *h, const struct point *p, uint32_t node, int32_t level);

#endif
