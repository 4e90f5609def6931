/* Distances of one vector from many, by position.
 *
 * Nothing in this header uses vector instructions, so that code around the distances, such as the graph's, can be
 * compiled for every variant. distances.c computes them; the scalar variant has reference/index_distances.c instead.
 */
#ifndef FLASHWASM_INDEXES_DISTANCES_H
#define FLASHWASM_INDEXES_DISTANCES_H

#include "../abi.h"

enum { INDEX_BATCH = 64 }; /* Positions whose distances are computed in one call. */

/* A query or a stored vector, ready for comparisons. `codes` is null if rows are compared. */
struct point {
    const float *row;
    const int16_t *codes;
    float scale;  /* The number that code 1 represents. */
    float square; /* The squared length of scale * codes, for l2. */
};

/* The stored vectors. `codes` is null if there are only rows. */
struct vectors {
    const float *rows;   /* [n][stride] */
    const int8_t *codes; /* [n][stride] */
    const float *scales;
    const float *squares;
    int32_t stride, metric;
};

/* out[i] = the distance from the vector at positions[i], by rows or by codes. `out` must have room for a multiple of
 * four. The bits of a distance depend only on the two vectors. */
void row_distances(float *out, const struct vectors *v, const float *row, const uint32_t *positions, int32_t count);
void code_distances(float *out, const struct vectors *v, const struct point *p, const uint32_t *positions,
                    int32_t count);

#endif
