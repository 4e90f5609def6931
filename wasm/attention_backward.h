/* What the parts of attention's gradient hand to each other. */
#ifndef FLASHWASM_ATTENTION_BACKWARD_H
#define FLASHWASM_ATTENTION_BACKWARD_H

#include "attention.h"

enum {
    BACKWARD_QUERIES = 64, /* Queries that share one packing of keys and values. */
    BACKWARD_GROUPS = BACKWARD_QUERIES / QUERY_GROUP,
};

/* The workspace: what one block of queries is packed into, then one block of keys, then what the two
 * make of each other. */
struct backward_workspace {
    float q[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];    /* Q transposed: [dim][8], scaled. */
    float dout[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP]; /* dO transposed: [value_dim][8], scaled. */
    float dq[BACKWARD_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];   /* dQ transposed: [dim][8]. */
    float q_columns[ATTENTION_MAX_DIM / TILE_COLUMNS][BACKWARD_QUERIES * TILE_COLUMNS];    /* Q: [query][8 columns]. */
    float dout_columns[ATTENTION_MAX_DIM / TILE_COLUMNS][BACKWARD_QUERIES * TILE_COLUMNS]; /* dO likewise. */
    float lse[BACKWARD_QUERIES];   /* -inf where there is no query. */
    float delta[BACKWARD_QUERIES]; /* dO . O, scaled. */

    float k[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* K panels one after another: [dim][4 keys]. */
    float v[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* V panels: [value_dim][4 keys]. */
    float k_columns[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* K: [key][4 columns]. */

    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                  /* One tile: [key][8 queries]. */
    float dscores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                 /* dP, then dS times the scale. */
    float kept[ATTENTION_KEY_BLOCK * QUERY_GROUP];                    /* What dropout multiplies weights with. */
    float slopes[ATTENTION_KEY_BLOCK * QUERY_GROUP];                  /* Derivative of the capped score. */
    float hidden[BACKWARD_GROUPS][ATTENTION_KEY_BLOCK * QUERY_GROUP]; /* -inf where a key is, for the careful way. */
    float weights_by_query[KEY_PANELS][BACKWARD_QUERIES * TILE_ROWS]; /* Weights: [query][4 keys]. */
    float dscores_by_query[KEY_PANELS][BACKWARD_QUERIES * TILE_ROWS]; /* dS likewise. */

    int32_t finite_queries; /* Whether all of Q and dO are. */
    int32_t careful;        /* Whether something is hidden, and something is not finite. */
};
_Static_assert(sizeof(struct backward_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* A packed block of queries meets a packed block of keys: adds to the packed dQ, and to the rows of dK
 * and dV. attention_gradient.c */
void add_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place);

/* The same products where something is hidden and something is not finite, which a weight of zero would
 * not keep away. attention_careful_gradient.c */
void add_careful_dq(struct backward_workspace *w, int32_t group, int32_t dim, int32_t keys);
void add_careful_key_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place);

#endif
