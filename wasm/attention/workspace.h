/* The structures of attention's forward pass. */
#ifndef FLASHWASM_ATTENTION_WORKSPACE_H
#define FLASHWASM_ATTENTION_WORKSPACE_H

#include "../abi.h"
#include "../shared/tile.h"

enum {
    QUERY_GROUP = TILE_COLUMNS, /* Queries that lie side by side in two vectors. */
    QUERY_GROUPS = ATTENTION_QUERY_BLOCK / QUERY_GROUP,
    KEY_PANELS = ATTENTION_KEY_BLOCK / TILE_ROWS,
};

/* The state of a group of queries, accumulated over some keys. */
struct group_state {
    float out[ATTENTION_MAX_DIM * QUERY_GROUP]; /* O transposed: [value_dim][8]. */
    float max[QUERY_GROUP];                     /* The greatest score so far. */
    float sum[QUERY_GROUP];                     /* The sum of exp(score - max). */
};

/* The same for one query. `max` and `sum` contain one number in all four lanes; `out` contains value_dim columns,
 * padded to a multiple of four. */
struct row_state {
    float max[4], sum[4];
    float out[];
};

/* The workspace: the state of one block of queries, then a packed block of keys. */
struct attention_workspace {
    float q[QUERY_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP]; /* Q transposed and scaled: [dim][8]. */
    struct group_state run[QUERY_GROUPS];                   /* Accumulated over the present run of keys, */
    struct group_state total[QUERY_GROUPS];                 /* and over the runs before it. */
    float k[KEY_PANELS * ATTENTION_MAX_DIM * TILE_ROWS];    /* K in panels, one after another: [dim][4 keys]. */
    float v[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* V: [key][4 columns]. */
    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];       /* The scores of one tile, later its weights. */
    float hidden[ATTENTION_KEY_BLOCK * QUERY_GROUP];       /* -inf where a key is hidden, else 0. */
    float k_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* A block of keys, and one of values, that is not */
    float v_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* stored as rows of floats: see storage.h. */
};
_Static_assert(sizeof(struct attention_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* A part of the scores of head `head`: `queries` rows from `query` on, by `keys` columns from `key` on. */
struct attention_place {
    int32_t head, query, queries, key, keys;
};

#endif
