/* Keys: what a search returns, and the heaps that hold the best of many.
 *
 * A distance is what a search makes small: minus the cosine, minus the dot product, or the squared Euclidean
 * distance. A key is a distance and the position of a vector in one integer: the distance above, the position below.
 * Keys therefore order by distance, and equal distances by position.
 */
#ifndef FLASHWASM_INDEXES_KEYS_H
#define FLASHWASM_INDEXES_KEYS_H

#include "../shared/floats.h"

/* A key above every other, which heaps begin with: an infinite distance and no position. */
#define NO_KEY 0xff800000ffffffffu
#define NO_POSITION 0xffffffffu

/* Maps floats to unsigned integers of the same order. NaN does not occur: see abi.h. */
static inline uint32_t ordered_bits(float x) {
    uint32_t bits = bits_of_f32(x);
    return bits ^ ((bits >> 31) ? 0xffffffffu : 0x80000000u);
}

static inline uint64_t make_key(float distance, uint32_t position) {
    return (uint64_t)ordered_bits(distance) << 32 | position;
}

static inline float key_distance(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    return f32_of_bits(bits ^ ((bits >> 31) ? 0x80000000u : 0xffffffffu));
}

/* Replaces the greatest key of a heap, its first, by a smaller one. The heap holds n >= 1 keys. */
static inline void replace_greatest(uint64_t *heap, int32_t n, uint64_t key) {
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

/* Takes a key into a heap if it is smaller than the greatest there. */
static inline void offer_key(uint64_t *heap, int32_t n, uint64_t key) {
    if (key < heap[0]) replace_greatest(heap, n, key);
}

#endif
