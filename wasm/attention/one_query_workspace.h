/* The workspace of attention one query at a time. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_WORKSPACE_H
#define FLASHWASM_ATTENTION_ONE_QUERY_WORKSPACE_H

#include "workspace.h"

/* Numbers as integers of one unit, each in two halves: x = (high + low / 2^15) * unit. */
struct fixed_point {
    int16_t high[ATTENTION_MAX_DIM], low[ATTENTION_MAX_DIM];
    float unit;
};

/* Room for a struct row_state of the greatest value_dim. */
typedef float row_floats[8 + ATTENTION_MAX_DIM];

/* It uses the memory of the groups in struct attention_workspace, because queries are not packed here. */
struct row_workspace {
    float q[ATTENTION_MAX_DIM];        /* The query, scaled. */
    float scores[ATTENTION_KEY_BLOCK]; /* The scores of one block of keys, later their weights. */
    float hidden[ATTENTION_KEY_BLOCK]; /* -inf where a key is hidden, else 0. */
    float before[ATTENTION_MAX_DIM];   /* The weighted sum of values before this block. */
    row_floats run, total;
    struct fixed_point query, weights; /* Used when keys and values are int8. */
};
_Static_assert(sizeof(struct row_workspace) <= GROUPS_ROOM * sizeof(float), "it must fit");

INLINE struct row_workspace *row_workspace(const struct attention_f32_arguments *args) {
    return (struct row_workspace *)((struct attention_workspace *)args->workspace)->groups;
}

/* Room for a block of keys, or for sixteen columns of a block of values, after their conversion to floats. */
INLINE float *row_room(const struct attention_f32_arguments *args) {
    return ((struct attention_workspace *)args->workspace)->k_rows;
}

#endif
