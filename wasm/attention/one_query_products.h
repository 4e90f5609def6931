/* The two products of attention for one query, with float keys and values. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_PRODUCTS_H
#define FLASHWASM_ATTENTION_ONE_QUERY_PRODUCTS_H

#include "one_query_workspace.h"

/* scores[j] = q . key j of keys that are rows `stride` floats apart */
void score_rows(float *scores, const float *q, const float *k, int32_t stride, int32_t dim, int32_t keys);

/* scores[j] = q . key j of a panel of sixteen keys, [dim][16] */
void score_panel(float *scores, const float *q, const float *k, int32_t dim);

/* out = out * shrink + sum of weights[j] * value j, with values that are rows `stride` floats apart. After every
 * sixteen columns, the next sixteen begin `next` floats further. */
void add_columns(float *out, const float *weights, const float *v, int32_t stride, int32_t next, int32_t keys,
                 f32x4 shrink, int32_t columns);

#endif
