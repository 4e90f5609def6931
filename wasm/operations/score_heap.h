/* Heaps of scores with the indices of their rows, for cosine_top_k. The first entry ranks lowest. */
#ifndef FLASHWASM_SCORE_HEAP_H
#define FLASHWASM_SCORE_HEAP_H

#include "../shared/simd.h"

/* Returns 1 if (score a, index i) ranks below (score b, index j). */
INLINE int ranks_below(float a, int32_t i, float b, int32_t j) {
    if (a < b) return 1;
    if (a > b) return 0;
    int a_is_nan = a != a, b_is_nan = b != b;
    if (a_is_nan != b_is_nan) return a_is_nan;
    return i > j;
}

INLINE void put(float *scores, int32_t *indices, int32_t at, float score, int32_t index) {
    scores[at] = score;
    indices[at] = index;
}

/* Replaces the root of a heap of n entries by (score, index), and lets it sink to its place. */
static inline void sink(float *scores, int32_t *indices, int32_t n, float score, int32_t index) {
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && ranks_below(scores[child + 1], indices[child + 1], scores[child], indices[child])) child++;
        if (!ranks_below(scores[child], indices[child], score, index)) break;
        put(scores, indices, at, scores[child], indices[child]);
    }
    put(scores, indices, at, score, index);
}

/* Appends (score, index) to a heap at place `at` and lets it rise to its place. */
static inline void rise(float *scores, int32_t *indices, int32_t at, float score, int32_t index) {
    while (at > 0) {
        int32_t parent = (at - 1) / 2;
        if (!ranks_below(score, index, scores[parent], indices[parent])) break;
        put(scores, indices, at, scores[parent], indices[parent]);
        at = parent;
    }
    put(scores, indices, at, score, index);
}

/* Offers one score to a heap that has `held` of k entries. */
static NOINLINE void offer(float *scores, int32_t *indices, int32_t held, int32_t k, float score, int32_t index) {
    if (held < k) {
        rise(scores, indices, held, score, index);
    } else if (ranks_below(scores[0], indices[0], score, index)) {
        sink(scores, indices, k, score, index);
    }
}

/* Sorts a heap, best first. */
static inline void sort_heap(float *scores, int32_t *indices, int32_t k) {
    for (int32_t n = k - 1; n > 0; n--) {
        float score = scores[n];
        int32_t index = indices[n];
        put(scores, indices, n, scores[0], indices[0]);
        sink(scores, indices, n, score, index);
    }
}

/* Restores a heap from n entries that sort_heap has sorted: in reverse order they form a heap. */
static inline void reverse_heap(float *scores, int32_t *indices, int32_t n) {
    for (int32_t i = 0, j = n - 1; i < j; i++, j--) {
        float score = scores[i];
        int32_t index = indices[i];
        put(scores, indices, i, scores[j], indices[j]);
        put(scores, indices, j, score, index);
    }
}

#endif
