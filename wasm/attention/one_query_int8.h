/* The two products of attention for one query, with keys and values in int8. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_INT8_H
#define FLASHWASM_ATTENTION_ONE_QUERY_INT8_H

#include "one_query_workspace.h"

/* Converts w->q to fixed point. Call it once for each query, before the others. */
void prepare_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args);

/* w->scores[j] = w->q . key j of the block */
void score_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at);

/* out = out * shrink + sum of w->scores[j] * value j. If `masked`, some key may be hidden from the query. */
void add_values_int8(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                     struct attention_place at, int masked, f32x4 shrink);

#endif
