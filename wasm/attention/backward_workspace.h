/* The workspace of attention's gradient. */
#ifndef FLASHWASM_ATTENTION_BACKWARD_WORKSPACE_H
#define FLASHWASM_ATTENTION_BACKWARD_WORKSPACE_H

#include "workspace.h"

enum {
    BACKWARD_QUERIES = 64, /* Queries that share one packing of keys and values. */
    BACKWARD_GROUPS = BACKWARD_QUERIES / QUERY_GROUP,
};

/* First the packed block of queries, then the packed block of keys, then the intermediate results of the two. */
struct backward_workspace {
    float q[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];    /* Q transposed and scaled: [dim][8]. */
    float dout[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP]; /* dO transposed and scaled: [value_dim][8]. */
    float dq[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];   /* dQ transposed: [dim][8]. */
    float q_columns[ATTENTION_MAX_DIM / TILE_COLUMNS][BACKWARD_QUERIES * TILE_COLUMNS];    /* Q: [query][8 columns]. */
    float dout_columns[ATTENTION_MAX_DIM / TILE_COLUMNS][BACKWARD_QUERIES * TILE_COLUMNS]; /* dO: likewise. */
    float lse[BACKWARD_QUERIES];   /* The log-sum-exp; -inf for missing queries. */
    float delta[BACKWARD_QUERIES]; /* dO . O, scaled. */

    float k[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* K in panels, one after another: [dim][4 keys]. */
    float v[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* V in panels: [value_dim][4 keys]. */
    float k_columns[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* K: [key][4 columns]. */

    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                  /* The scores of one tile: [key][8 queries]. */
    float dscores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                 /* dP, later dS times the scale. */
    float kept[ATTENTION_KEY_BLOCK * QUERY_GROUP];                    /* The factors that dropout gives the weights. */
    float slopes[ATTENTION_KEY_BLOCK * QUERY_GROUP];                  /* The derivative of the softcap. */
    float hidden[BACKWARD_GROUPS][ATTENTION_KEY_BLOCK * QUERY_GROUP]; /* -inf where a key is hidden, if `careful`. */
    float weights_by_query[KEY_PANELS][BACKWARD_QUERIES * TILE_ROWS]; /* The weights: [query][4 keys]. */
    float dscores_by_query[KEY_PANELS][BACKWARD_QUERIES * TILE_ROWS]; /* dS: likewise. */

    int32_t finite_queries; /* 1 if all of Q and dO is finite. */
    int32_t careful;        /* 1 if some key may be hidden and some operand is not finite. */
};
_Static_assert(sizeof(struct backward_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

#endif
