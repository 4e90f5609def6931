/* What the parts of attention_rows.c hand to each other. */
#ifndef FLASHWASM_ATTENTION_ROW_H
#define FLASHWASM_ATTENTION_ROW_H

#include "attention.h"

/* Numbers as integers of one unit, in two halves: x = (high + low / 2^15) * unit. */
struct fixed {
    int16_t high[ATTENTION_MAX_DIM], low[ATTENTION_MAX_DIM];
    float unit;
};

/* What is summed up over some keys: see struct row_state. */
typedef float row_floats[8 + ATTENTION_MAX_DIM];

/* One query's share of the workspace, in the place of the packed queries, which rows do not need. */
struct row_workspace {
    float q[ATTENTION_MAX_DIM];        /* Scaled. */
    float scores[ATTENTION_KEY_BLOCK]; /* Of one block, then its weights. */
    float hidden[ATTENTION_KEY_BLOCK]; /* -inf where a key is hidden. */
    float before[ATTENTION_MAX_DIM];   /* The values summed up before this block. */
    row_floats run, total;
    struct fixed query, weights; /* Where keys are int8. */
};
_Static_assert(sizeof(struct row_workspace) <= sizeof(((struct attention_workspace *)0)->q), "it must fit");

INLINE struct row_workspace *row_workspace(const struct attention_f32_arguments *args) {
    return (struct row_workspace *)((struct attention_workspace *)args->workspace)->q;
}

/* scores[j] = q . key j of the block, for w->q. attention_row_products.c */
void score_row(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at,
               const struct stored_block *block);

/* out = out * shrink + sum of w->scores[j] * value j. */
void add_values(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                struct attention_place at, const struct stored_block *block, f32x4 shrink);

/* The same for int8, when w->q has been prepared. attention_row_int8.c */
void prepare_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args);
void score_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at);
void add_values_int8(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                     struct attention_place at, int masked, f32x4 shrink);

#endif
