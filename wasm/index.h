/* What the kernels of the indexes share: keys, the best of many, and the distances below them.
 *
 * A distance is what a search makes small: minus the cosine, minus the dot product, or the squared
 * Euclidean distance. A key holds a distance and the position it belongs to, and orders as the pair.
 * Nothing here knows of vectors, so that every variant compiles the same code around its distances.
 */
#ifndef FLASHWASM_INDEX_H
#define FLASHWASM_INDEX_H

#include "abi.h"

enum { INDEX_BATCH = 64 }; /* Distances that are computed at once. */

/* A key above every other: what a search begins with. An infinite distance, no position. */
#define NO_KEY 0xff800000ffffffffu
#define NO_POSITION 0xffffffffu

/* Floats as integers of the same order. There are no NaNs: see abi.h. */
static inline uint32_t ordered_bits(float x) {
    union {
        float f;
        uint32_t bits;
    } u = {x};
    return u.bits ^ ((u.bits >> 31) ? 0xffffffffu : 0x80000000u);
}

static inline uint64_t make_key(float distance, uint32_t position) {
    return (uint64_t)ordered_bits(distance) << 32 | position;
}

static inline float key_distance(uint64_t key) {
    uint32_t bits = (uint32_t)(key >> 32);
    union {
        uint32_t bits;
        float f;
    } u = {bits ^ ((bits >> 31) ? 0x80000000u : 0xffffffffu)};
    return u.f;
}

/* Puts a key in place of the greatest of a heap of n >= 1 keys whose greatest comes first. */
static inline void replace_greatest(uint64_t *heap, int32_t n, uint64_t key) {
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && heap[child + 1] > heap[child]) child++;
        if (heap[child] <= key) break;
        heap[at] = heap[child];
    }
    heap[at] = key;
}

static inline void offer_key(uint64_t *heap, int32_t n, uint64_t key) {
    if (key < heap[0]) replace_greatest(heap, n, key);
}

/* From one row to the next, in elements: rows are padded with zeros to whole cache lines of floats. */
static inline int32_t row_stride(int32_t dim) { return (dim + 15) / 16 * 16; }

/* A query or a stored vector, as distances need it. `codes` is null where rows are compared. */
struct point {
    const float *row;
    const int16_t *codes;
    float scale;  /* What a code counts. */
    float square; /* Squared length of the codes, for l2. */
};

/* Vectors by position. `codes` is null where only rows are there. */
struct vectors {
    const float *rows;   /* [n][stride] */
    const int8_t *codes; /* [n][stride] */
    const float *scales;
    const float *squares;
    int32_t stride, metric;
};

/* out[i] = distance of the point from the vector at positions[i], from the rows or from the codes; bits
 * depend on the two vectors alone. index_distances.c, and again in reference/ without vectors. */
void row_distances(float *out, const struct vectors *v, const float *row, const uint32_t *positions, int32_t count);
void code_distances(float *out, const struct vectors *v, const struct point *p, const uint32_t *positions,
                    int32_t count);

/* Copies a vector to row[stride], of unit length for cosine. index_store.c */
void prepare_row(float *row, const float *x, int32_t dim, int32_t metric);

/* Rounds a prepared row to codes of at most `largest`; sets scale and square. */
void quantize_row(int16_t *codes, float *scale, float *square, const float *row, int32_t stride, int32_t largest,
                  int32_t metric);

/* At least the length of row - scale * codes; of the row itself where scale is 0. */
float code_error(const float *row, const int16_t *codes, float scale, int32_t stride);

/* The largest code of a query: no sum of its products with codes of at most 127 leaves 32 bits. */
static inline int32_t largest_query_code(int32_t stride) {
    int32_t largest = INT32_MAX / (127 * stride);
    return largest < 32767 ? largest : 32767;
}

#endif
