/* What the parts of attention hand to each other. */
#ifndef FLASHWASM_ATTENTION_H
#define FLASHWASM_ATTENTION_H

#include "abi.h"
#include "tile.h"

enum {
    QUERY_GROUP = TILE_COLUMNS, /* Queries side by side in two vectors. */
    QUERY_GROUPS = ATTENTION_QUERY_BLOCK / QUERY_GROUP,
    KEY_PANELS = ATTENTION_KEY_BLOCK / TILE_ROWS,
};

/* What a group of queries has summed up over some keys. */
struct group_state {
    float out[ATTENTION_MAX_DIM * QUERY_GROUP]; /* O transposed: [value_dim][8]. */
    float max[QUERY_GROUP];                     /* Greatest score so far. */
    float sum[QUERY_GROUP];                     /* Sum of exp(score - max). */
};

/* The same for one query. `out` goes on for value_dim columns, up to a multiple of four. */
struct row_state {
    float max[4], sum[4]; /* Four times the same. */
    float out[];
};

/* The workspace: what one block of queries has summed up, then what each key block is packed into. */
struct attention_workspace {
    float q[QUERY_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP]; /* Q transposed: [dim][8], scaled. */
    struct group_state run[QUERY_GROUPS];                   /* Over this run of keys. */
    struct group_state total[QUERY_GROUPS];                 /* Over the runs before it. */
    float k[KEY_PANELS * ATTENTION_MAX_DIM * TILE_ROWS];    /* K panels, one after another: [dim][4 keys]. */
    float v[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* V: [key][4 columns]. */
    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                         /* One tile, then its weights. */
    float hidden[ATTENTION_KEY_BLOCK * QUERY_GROUP];                         /* Where v is not finite: see there. */
    float k_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM];                   /* A block that is not stored */
    float v_rows[ATTENTION_KEY_BLOCK * ATTENTION_MAX_DIM];                   /* as floats: attention_storage.c */
};
_Static_assert(sizeof(struct attention_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* Where a tile of scores lies: eight queries from `query`, `keys` keys from `key`, of head `head`. */
struct attention_place {
    int32_t head, query, queries, key, keys;
};

/* Softcap, ALiBi and masks: what lies between the products and the weights. attention_mask.c */
void cap_scores(float *scores, float softcap, int32_t count);
void mask_scores(float *scores, const struct attention_f32_arguments *args, struct attention_place at);

/* The same for one query, its scores side by side. */
void mask_row(float *scores, const struct attention_f32_arguments *args, struct attention_place at);

/* Whether a boolean mask hides every key of the place from every query of it. */
int mask_hides_all(const struct attention_f32_arguments *args, struct attention_place at);

/* Drops weights at random, by seed and position. attention_dropout.c */
void drop_weights(float *weights, const struct attention_f32_arguments *args, struct attention_place at);
void drop_row(float *weights, const struct attention_f32_arguments *args, struct attention_place at);

/* A block of keys and one of values as rows of floats. Not for STORED_INT8. attention_storage.c */
struct stored_block {
    const float *k, *v;
    int32_t k_stride, v_stride;
};
struct stored_block load_block(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               int32_t key_head, int32_t key, int32_t keys);

/* Adds what a run of keys gave to the total. attention_finish.c */
void merge_group(struct group_state *total, const struct group_state *run, int32_t value_dim);
void merge_row(struct row_state *total, const struct row_state *run, int32_t value_dim);

/* Writes the output and the log-sum-exp of queries [query, end). attention_finish.c */
void finish_queries(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                    int32_t query, int32_t end);
void finish_row(struct row_state *state, const struct attention_f32_arguments *args, int32_t head, int32_t query);

/* All of a call with `partials`: queries one at a time. attention_rows.c */
void attend_rows(const struct attention_f32_arguments *args);

/* Whether every query of the place sees every key of it, as far as the diagonal goes. */
INLINE int diagonal_hides_nothing(const struct attention_f32_arguments *args, struct attention_place at) {
    int32_t first = at.query + args->diagonal, last = first + at.queries - 1;
    return at.key >= last - args->before && at.key + at.keys - 1 <= first + args->after;
}

#endif
