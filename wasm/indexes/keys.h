/* Keys, which a search returns, and the heaps with the best keys.
 *
 * A search minimises a distance: minus the cosine, minus the dot product, or the squared Euclidean distance. A key is
 * an integer with the distance in its upper half and the position of the vector in its lower half. Keys therefore sort
 * by distance, and by position if distances are equal.
 */
#ifndef FLASHWASM_INDEXES_KEYS_H
#define FLASHWASM_INDEXES_KEYS_H

#include "../shared/floats.h"

/* The initial key of heaps, greater than every other key: an infinite distance and no position. */
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

/* Replaces the greatest key of a heap, which is its first, by a smaller key. The heap has n >= 1 keys. */
static inline void replace_greatest(uint64_t *heap, int32_t n, uint64_t key) {
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

/* Inserts a key into a heap if it is smaller than the heap's greatest key. */
static inline void offer_key(uint64_t *heap, int32_t n, uint64_t key) {
    if (key < heap[0]) replace_greatest(heap, n, key);
}

#endif
