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

/* The workspace: state that one block of queries keeps from key block to key block, then what each
 * key block is packed into. */
struct attention_workspace {
    float q[QUERY_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];                  /* Q transposed: [dim][8], scaled. */
    float out[QUERY_GROUPS][ATTENTION_MAX_DIM * QUERY_GROUP];                /* O transposed: [value_dim][8]. */
    float max[QUERY_GROUPS][QUERY_GROUP];                                    /* Greatest score so far. */
    float sum[QUERY_GROUPS][QUERY_GROUP];                                    /* Sum of exp(score - max). */
    float k[KEY_PANELS][ATTENTION_MAX_DIM * TILE_ROWS];                      /* K panels: [dim][4 keys]. */
    float v[ATTENTION_MAX_DIM / TILE_ROWS][ATTENTION_KEY_BLOCK * TILE_ROWS]; /* V: [key][4 columns]. */
    float scores[ATTENTION_KEY_BLOCK * QUERY_GROUP];                         /* One tile, then its weights. */
    float hidden[ATTENTION_KEY_BLOCK * QUERY_GROUP];                         /* Where v is not finite: see there. */
};
_Static_assert(sizeof(struct attention_workspace) <= WORKSPACE_BYTES, "the workspace is too small");

/* Where a tile of scores lies: eight queries from `query`, `keys` keys from `key`, of head `head`. */
struct attention_place {
    int32_t head, query, queries, key, keys;
};

/* Softcap, ALiBi and masks: what lies between the products and the weights. attention_mask.c */
void cap_scores(float *scores, float softcap, int32_t keys);
void mask_scores(float *scores, const struct attention_f32_arguments *args, struct attention_place at);

/* Whether a boolean mask hides every key of the place from every query of it. */
int mask_hides_all(const struct attention_f32_arguments *args, struct attention_place at);

/* Drops weights at random, by seed and position. attention_dropout.c */
void drop_weights(float *weights, const struct attention_f32_arguments *args, struct attention_place at);

/* Writes the output and the log-sum-exp of queries [query, end). attention_finish.c */
void finish_queries(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                    int32_t query, int32_t end);

/* Whether every query of the place sees every key of it, as far as the diagonal goes. */
INLINE int diagonal_hides_nothing(const struct attention_f32_arguments *args, struct attention_place at) {
    int32_t first = at.query + args->diagonal, last = first + at.queries - 1;
    return at.key >= last - args->before && at.key + at.keys - 1 <= first + args->after;
}

#endif
