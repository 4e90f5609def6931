/* The structures of attention's forward pass. */
#ifndef FLASHWASM_ATTENTION_WORKSPACE_H
#define FLASHWASM_ATTENTION_WORKSPACE_H

#include "../abi.h"
#include "../shared/tile.h"

enum {
    QUERY_GROUP = TILE_COLUMNS, /* Queries that lie side by side in two vectors. */
    KEY_PANELS = ATTENTION_KEY_BLOCK / TILE_ROWS,
    MOST_QUERIES = 512, /* The most queries that share one packing of keys and values. */
};

/* The state of a group of queries, accumulated over some keys. */
struct group_state {
    float max[QUERY_GROUP]; /* The greatest score so far. */
    float sum[QUERY_GROUP]; /* The sum of exp(score - max). */
    float out[];            /* O transposed: [value_dim][8], with value_dim rounded up to a multiple of four. */
};

/* The same for one query. `max` and `sum` contain one number in all four lanes; `out` contains value_dim columns,
 * padded to a multiple of four. */
struct row_state {
    float max[4], sum[4];
    float out[];
};

/* The workspace: a packed block of keys, then as many groups of queries as fit into the rest. */
struct attention_workspace {
    float k[KEY_PANELS * ATTENTION_MAX_DIM * TILE_ROWS]; /* K in panels, one after another: [dim][4 keys]. */
    float v[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* V: [key][4 columns]. */
    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];       /* The scores of one tile, later its weights. */
    float hidden[ATTENTION_KEY_BLOCK * QUERY_GROUP];       /* -inf where a key is hidden, else 0. */
    float k_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* A block of keys, and one of values, that is not */
    float v_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM]; /* stored as rows of floats: see storage.h. */
    float groups[];
};

/* The numbers of floats of a group: its queries, transposed and scaled, [dim][8]; and one of its two states. */
#define QUERY_FLOATS(dim) ((dim) * QUERY_GROUP)
#define STATE_FLOATS(value_dim) ((2 + ((value_dim) + 3) / 4 * 4) * QUERY_GROUP)
#define GROUP_FLOATS(dim, value_dim) (QUERY_FLOATS(dim) + 2 * STATE_FLOATS(value_dim))

enum { GROUPS_ROOM = (WORKSPACE_BYTES - (int32_t)sizeof(struct attention_workspace)) / (int32_t)sizeof(float) };
_Static_assert(GROUPS_ROOM / GROUP_FLOATS(ATTENTION_MAX_DIM, ATTENTION_MAX_DIM) * QUERY_GROUP >= ATTENTION_QUERY_BLOCK,
               "the workspace is too small");

/* A group of eight queries in the workspace. */
struct query_group {
    float *q;
    struct group_state *run, *total; /* Accumulated over the present run of keys, and over the runs before it. */
};

INLINE struct query_group query_group(struct attention_workspace *w, const struct attention_f32_arguments *args,
                                      int32_t number) {
    float *q = w->groups + number * GROUP_FLOATS(args->dim, args->value_dim), *run = q + QUERY_FLOATS(args->dim);
    float *total = run + STATE_FLOATS(args->value_dim);
    return (struct query_group){q, (struct group_state *)run, (struct group_state *)total};
}

/* A part of the scores of head `head`: `queries` rows from `query` on, by `keys` columns from `key` on. */
struct attention_place {
    int32_t head, query, queries, key, keys;
};

#endif
