/* Searching one level of the graph: Algorithm 2, with one sorted beam in place of its two heaps.
 *
 * Algorithm 2 keeps two sets: candidates to expand, and results. The candidates that it would still expand are among
 * its ef results, so one sorted list with marks on expanded nodes is enough. Most of the time is spent waiting for
 * memory. For each expanded node, the new neighbours are therefore collected first, without branches. Then one word of
 * each cache line of their vectors is read, so that the waits overlap. Distances are computed last.
 */
#include "beam.h"

enum {
    CACHE_LINE = 64,          /* Bytes. */
    TOUCHED_BYTES = 24 << 10, /* The vectors that are read side by side, which must stay in the L1 cache. */
    NONE_LEFT = -1
};

/* Reads a word. The access is volatile, because the compiler would otherwise remove it. */
static inline void touch(const void *memory) { (void)*(const volatile uint32_t *)memory; }

/* Reads a word of each cache line from `at` to `end`. */
static inline void touch_lines(const char *at, const char *end) {
#pragma clang loop unroll(disable)
    for (; at < end; at += CACHE_LINE) touch(at);
}

/* Reads a word of each cache line of some nodes' vectors. The first lines of all these vectors are read first, then all
 * second lines: many streams of memory are read faster than one after the other. */
static inline void touch_side_by_side(const char *base, size_t bytes, const uint32_t *nodes, int32_t count) {
    for (size_t line = 0; line < bytes; line += CACHE_LINE) {
#pragma clang loop unroll(disable)
        for (int32_t i = 0; i < count; i++) touch(base + nodes[i] * bytes + line);
    }
}

void touch_vectors(const struct hnsw *h, const uint32_t *nodes, int32_t count) {
    const struct vectors *v = &h->vectors;
    const char *base = v->codes ? (const char *)v->codes : (const char *)v->rows;
    const float *scales = v->scales;
    size_t bytes = (size_t)v->stride * (v->codes ? sizeof(int8_t) : sizeof(float));
    if (v->codes && bytes <= 2 * CACHE_LINE) {
#pragma clang loop unroll(disable)
        for (int32_t i = 0; i < count; i++) {
            const char *at = base + nodes[i] * bytes;
            touch(at);
            touch(at + bytes - sizeof(uint32_t));
            touch(scales + nodes[i]);
        }
        return;
    }
    int32_t together = TOUCHED_BYTES / bytes > 0 ? TOUCHED_BYTES / (int32_t)bytes : 1;
    for (int32_t i = 0; i < count; i += together) {
        touch_side_by_side(base, bytes, nodes + i, count - i < together ? count - i : together);
    }
    for (int32_t i = 0; v->codes && i < count; i++) touch(scales + nodes[i]);
}

/* Marks nodes as visited, copies those that were not marked before to `fresh`, and returns their number. It is not
 * inlined, so that all its variables stay in registers. */
static __attribute__((noinline)) int32_t visit_new(uint32_t *visited, const uint32_t *nodes, int32_t count,
                                                   uint32_t *fresh) {
    uint32_t *end = fresh;
    const uint32_t *last = nodes + count;
#pragma clang loop unroll(disable)
    for (; nodes < last; nodes++) {
        uint32_t node = *nodes;
        *end = node;
        end += visit(visited, node);
    }
    return (int32_t)(end - fresh);
}

/* Returns the place for the trail's next nodes. A full trail starts again, and trail_full is set. */
static uint32_t *end_of_trail(struct hnsw_workspace *w) {
    if (w->trail_size > HNSW_TRAIL) {
        w->trail_size = 0;
        w->trail_full = 1;
    }
    return w->trail + w->trail_size;
}

/* Clears the marks of all visited nodes: those of the trail, or every mark if the trail was full. */
static void forget_visited(const struct hnsw *h) {
    struct hnsw_workspace *w = h->w;
    uint32_t *visited = h->args->visited;
    if (w->trail_full) {
        for (int32_t i = 0; i < (h->args->nodes + 31) / 32; i++) visited[i] = 0;
    } else {
        for (int32_t i = 0; i < w->trail_size; i++) visited[w->trail[i] >> 5] = 0;
    }
    w->trail_size = w->trail_full = 0;
}

/* Returns the place of the next key to expand, or NONE_LEFT. */
static inline int32_t next_to_expand(struct hnsw_workspace *w) {
    while (w->next < w->beam_size && w->beam[w->next] & 1) w->next++;
    return w->next < w->beam_size ? w->next : NONE_LEFT;
}

/* Merges sorted keys into the beam, from its end, and drops all but the first ef. */
static void merge_into_beam(struct hnsw_workspace *w, int32_t ef, const uint64_t *keys, int32_t count) {
    int32_t from = w->beam_size - 1, to = w->beam_size + count - 1;
    w->beam_size = to < ef ? to + 1 : ef;
    for (int32_t i = count - 1; i >= 0; i--) {
        uint64_t key = keys[i];
        for (; from >= 0 && w->beam[from] > key; from--, to--) w->beam[to] = w->beam[from];
        w->beam[to--] = key;
    }
    if (to + 1 < w->next) w->next = to + 1;
}

/* Inserts nodes into the beam: those that are nearer than its last node, or all if it has fewer than ef. */
static void offer_to_beam(struct hnsw_workspace *w, int32_t ef, const uint32_t *nodes, int32_t count) {
    uint64_t keys[HNSW_LIST], last = w->beam_size < ef ? NO_KEY : w->beam[w->beam_size - 1];
    int32_t taken = 0;
    for (int32_t i = 0; i < count; i++) {
        uint64_t key = beam_key(w->distances[i], nodes[i]);
        keys[taken] = key;
        taken += key < last;
    }
    for (int32_t i = 1; i < taken; i++) insert_sorted(keys, i, keys[i]);
    if (taken > ef) taken = ef;
    if (taken > 0) merge_into_beam(w, ef, keys, taken);
}

void begin_beam(const struct hnsw *h, const struct point *p, uint32_t node) {
    distances_from(h, h->w->distances, p, &node, 1);
    h->w->beam[0] = beam_key(h->w->distances[0], node);
    h->w->beam_size = 1;
    h->w->trail_size = h->w->trail_full = 0;
}

void search_level(const struct hnsw *h, const struct point *p, int32_t level, int32_t ef) {
    struct hnsw_workspace *w = h->w;
    uint32_t *visited = h->args->visited;
    int32_t length = list_length(h, level), place;
    for (int32_t i = 0; i < w->beam_size; i++) {
        uint32_t node = beam_node(w->beam[i]);
        w->beam[i] &= ~1ull;
        visit(visited, node);
        end_of_trail(w)[0] = node;
        w->trail_size++;
    }
    if (w->beam_size > ef) w->beam_size = ef;
    w->next = 0;
    while ((place = next_to_expand(w)) != NONE_LEFT) {
        const uint32_t *links = links_of(h, beam_node(w->beam[place]), level);
        w->beam[place] |= 1;
        uint32_t *fresh = end_of_trail(w);
        int32_t count = visit_new(visited, links, length, fresh);
        w->trail_size += count;
        if (count == 0) continue;
        if ((place = next_to_expand(w)) != NONE_LEFT) {
            const char *next = (const char *)links_of(h, beam_node(w->beam[place]), level);
            touch_lines(next, next + (size_t)length * sizeof(uint32_t));
        }
        touch_vectors(h, fresh, count);
        distances_from(h, w->distances, p, fresh, count);
        offer_to_beam(w, ef, fresh, count);
    }
    forget_visited(h);
}

void descend(const struct hnsw *h, const struct point *p, int32_t level) {
    uint32_t entry = *h->args->entry;
    begin_beam(h, p, entry);
    for (int32_t above = h->args->levels[entry]; above > level; above--) search_level(h, p, above, HNSW_GREEDY_EF);
}
