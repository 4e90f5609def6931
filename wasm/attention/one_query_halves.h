/* The two products of attention for one query, with keys and values in panels of half-precision numbers.
 *
 * The results have the same bits as with the same numbers stored as floats. `room` is memory for a conversion to
 * floats. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_HALVES_H
#define FLASHWASM_ATTENTION_ONE_QUERY_HALVES_H

#include "one_query_workspace.h"

/* scores[j] = q . key j, of `keys` keys in panels [dim][16] */
void score_halves(float *scores, const float *q, const int16_t *k, int32_t dim, int32_t keys, float *room);

/* out = out * shrink + sum of weights[j] * value j, with `columns` columns in panels [keys][16], each of which begins
 * `next` halves after the panel before it. `most` is the greatest possible weight. */
void add_halves(float *out, const float *weights, const int16_t *v, int32_t next, int32_t keys, f32x4 shrink,
                int32_t columns, float most, float *room);

#endif
