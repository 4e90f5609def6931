/* The two products of attention for one query, with float keys and values. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_PRODUCTS_H
#define FLASHWASM_ATTENTION_ONE_QUERY_PRODUCTS_H

#include "one_query_workspace.h"
#include "storage.h"

/* w->scores[j] = w->q . key j of the block */
void score_row(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at,
               const struct stored_block *block);

/* out = out * shrink + sum of w->scores[j] * value j */
void add_values(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                struct attention_place at, const struct stored_block *block, f32x4 shrink);

#endif
