/* The computations on one tile: up to 64 keys by a group of eight queries. */
#ifndef FLASHWASM_ATTENTION_FORWARD_TILE_H
#define FLASHWASM_ATTENTION_FORWARD_TILE_H

#include "../shared/simd.h"

/* For four of the group's queries: turns scores into weights exp(score - max), updates max and sum, and sets
 * `correction` to the factor by which the accumulated values must be multiplied. */
void weigh(float *scores, float *max, float *sum, float *correction, int32_t keys);

/* out[4 columns][8] = out * correction + V panel x weights. `low` and `high` are the corrections of the eight queries.
 * They are passed by value, because with an address the loop would move vectors through the stack. */
void value_tile(float *out, const float *v, const float *weights, f32x4 low, f32x4 high, int32_t keys);

/* The same when some values are not finite. A hidden value counts as zero, because 0 * NaN would otherwise reach
 * a query that does not see the key. `hidden` is -inf where a key is hidden, else 0. */
void careful_value_tile(float *out, const float *v, const float *weights, const float *correction, const float *hidden,
                        int32_t keys);

#endif
