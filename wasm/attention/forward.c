/* out = softmax(softcap(scale Q K^T) + bias) V, exact, without storing the matrix of scores.
 *
 *   q (heads, queries, dim), k (heads / group, keys, dim), v (heads / group, keys, value_dim)
 *
 * Preconditions: arguments_are_sound below. Sources: Milakov & Gimelshein, "Online normalizer calculation for
 * softmax", 2018; Dao et al., "FlashAttention", 2022.
 *
 * This file contains the loops over blocks. Keys are processed in blocks of 64 that start at multiples of 64. For each
 * block and each query, three values are updated: the greatest score, the sum of exponentials, and the weighted sum of
 * values (forward_tile.c). Each run of 512 keys is accumulated separately, and the runs are then merged in order.
 *
 * The bits of a query's output depend on its own row, on the keys, and on which keys it may see. They do not depend on
 * other queries and heads, nor on threads. A block or a run of keys that a query does not see leaves the query's state
 * unchanged, so it can be skipped.
 *
 * A call may process only a part of the keys, [key_begin, key_end). It then processes one head and one block of
 * queries, and keeps their state in the workspace. The calls must be made in order, key_begin must be a multiple of
 * 512, and the last call, with `finish`, writes the output.
 *
 * With `partials` the kernel computes one query at a time, and reads keys and values in place: see one_query.c. The
 * bits are the same. Keys and values in int8 are always read in this way.
 */
#include "../shared/pack.h"
#include "dropout.h"
#include "finish.h"
#include "forward_tile.h"
#include "mask.h"
#include "one_query.h"
#include "storage.h"

static void start_group(struct group_state *state, int32_t value_dim) {
    for (int32_t i = 0; i < value_dim * QUERY_GROUP; i++) state->out[i] = 0.0f;
    for (int32_t i = 0; i < QUERY_GROUP; i++) {
        state->max[i] = MINUS_INFINITY;
        state->sum[i] = 0.0f;
    }
}

static NOINLINE void start_queries(struct attention_workspace *w, const struct attention_f32_arguments *args,
                                   int32_t head, int32_t query, int32_t end) {
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        int32_t first = query + g * QUERY_GROUP;
        pack_rows_f32(w->q[g], args->q + head * args->q_head_stride + first * args->q_stride, args->q_stride,
                      end - first, args->dim, QUERY_GROUP, args->scale);
        start_group(&w->total[g], args->value_dim);
    }
}

static NOINLINE void pack_keys(struct attention_workspace *w, const struct stored_block *block,
                               const struct attention_f32_arguments *args, int32_t keys) {
    for (int32_t j = 0; j < keys; j += TILE_ROWS) {
        pack_rows_f32(w->k + j * args->dim, block->k + j * block->k_stride, block->k_stride, keys - j, args->dim,
                      TILE_ROWS, 1.0f);
    }
}

/* Packs one block of values; returns 1 if all of them are finite: x * 0 is 0 if x is finite, else NaN, and a sum shows
 * if there was a NaN. Four panels are written at once. They read whole cache lines, and their four sums do not wait
 * for each other. */
static NOINLINE int pack_values(struct attention_workspace *w, const struct stored_block *block, int32_t value_dim,
                                int32_t keys) {
    enum { PANELS = 4 };
    f32x4 zeros[PANELS] = {{0}}, none = splat_f32x4(0.0f);
    int32_t c = 0;
    for (; c + PANELS * TILE_ROWS <= value_dim; c += PANELS * TILE_ROWS) {
        const float *row = block->v + c;
        float *panel = w->v[c / TILE_ROWS];
        for (int32_t j = 0; j < keys; j++) {
            for (int32_t i = 0; i < PANELS; i++) {
                f32x4 x = load_f32x4(row + i * TILE_ROWS);
                store_f32x4(panel + i * ATTENTION_KEY_BLOCK * TILE_ROWS, x);
                zeros[i] = fma_f32x4(x, none, zeros[i]);
            }
            row += block->v_stride;
            panel += TILE_ROWS;
        }
    }
    for (; c < value_dim; c += TILE_ROWS) {
        for (int32_t j = 0; j < keys; j++) {
            f32x4 x = load_at_most_f32x4(block->v + j * block->v_stride + c, value_dim - c);
            store_f32x4(w->v[c / TILE_ROWS] + j * TILE_ROWS, x);
            zeros[0] = fma_f32x4(x, none, zeros[0]);
        }
    }
    return sum_f32x4(add_f32x4(add_f32x4(zeros[0], zeros[1]), add_f32x4(zeros[2], zeros[3]))) == 0.0f;
}

static void add_careful_values(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               struct attention_place at, int32_t group, const float *correction) {
    for (int32_t i = 0; i < ATTENTION_KEY_BLOCK * QUERY_GROUP; i++) w->hidden[i] = 0.0f;
    mask_scores(w->hidden, args, at);
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        careful_value_tile(w->run[group].out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, correction, w->hidden,
                           at.keys);
    }
}

/* Updates the state of one group of eight queries with one packed block of keys. */
static void meet_keys(struct attention_workspace *w, const struct attention_f32_arguments *args,
                      struct attention_place at, int32_t group, int finite) {
    struct group_state *run = &w->run[group];
    int32_t padded = (at.keys + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    for (int32_t j = 0; j < at.keys; j += TILE_ROWS) {
        product_tile(w->scores + j * QUERY_GROUP, w->k + j * args->dim, w->q[group], args->dim);
    }
    if (args->softcap != 0.0f) cap_scores(w->scores, args->softcap, at.keys * QUERY_GROUP);
    int masked = may_hide(args, at);
    if (masked || args->alibi) mask_scores(w->scores, args, at);
    for (int32_t i = at.keys * QUERY_GROUP; i < padded * QUERY_GROUP; i++) w->scores[i] = MINUS_INFINITY;
    float correction[QUERY_GROUP];
    weigh(w->scores, run->max, run->sum, correction, padded);
    weigh(w->scores + 4, run->max + 4, run->sum + 4, correction + 4, padded);
    if (args->dropout) drop_weights(w->scores, args, at);
    if (masked && !finite) {
        add_careful_values(w, args, at, group, correction);
        return;
    }
    f32x4 low = load_f32x4(correction), high = load_f32x4(correction + 4);
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        value_tile(run->out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, low, high, at.keys);
    }
}

/* Updates all groups of one block of queries with keys [key, key + keys), at most 64. */
static void visit_keys(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                       int32_t query, int32_t end, int32_t key, int32_t keys) {
    struct attention_place whole = {head, query, end - query, key, keys};
    if (mask_hides_all(args, whole)) return;
    struct stored_block block = load_block(w, args, head / args->group, key, keys);
    pack_keys(w, &block, args, keys);
    int finite = pack_values(w, &block, args->value_dim, keys);
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        int32_t first = query + g * QUERY_GROUP;
        struct attention_place at = {head, first, end - first < QUERY_GROUP ? end - first : QUERY_GROUP, key, keys};
        at.keys = keys_in_reach(args, at);
        if (at.keys > 0 && !mask_hides_all(args, at)) meet_keys(w, args, at, g, finite);
    }
}

/* Accumulates one run of keys, [key, key_end), and merges it into the total. */
static void visit_run(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                      int32_t query, int32_t end, int32_t key, int32_t key_end) {
    int32_t groups = (end - query + QUERY_GROUP - 1) / QUERY_GROUP;
    for (int32_t g = 0; g < groups; g++) start_group(&w->run[g], args->value_dim);
    for (; key < key_end; key += ATTENTION_KEY_BLOCK) {
        int32_t keys = args->key_end - key < ATTENTION_KEY_BLOCK ? args->key_end - key : ATTENTION_KEY_BLOCK;
        visit_keys(w, args, head, query, end, key, keys);
    }
    for (int32_t g = 0; g < groups; g++) merge_group(&w->total[g], &w->run[g], args->value_dim);
}

static void attend(const struct attention_f32_arguments *args, int32_t head, int32_t query, int32_t end) {
    struct attention_workspace *w = args->workspace;
    if (args->key_begin == 0) start_queries(w, args, head, query, end);
    struct key_range keys = keys_to_visit(args, query, end);
    for (int32_t key = keys.begin; key < keys.end;) {
        int32_t next = key / ATTENTION_KEY_RUN * ATTENTION_KEY_RUN + ATTENTION_KEY_RUN;
        visit_run(w, args, head, query, end, key, next < keys.end ? next : keys.end);
        key = next;
    }
    if (args->finish) finish_queries(w, args, head, query, end);
}

static int arguments_are_sound(const struct attention_f32_arguments *args) {
    int partial = args->key_begin != 0 || args->key_end != args->keys || !args->finish;
    int single = args->head_end - args->head_begin <= 1 && args->query_end - args->query_begin <= ATTENTION_QUERY_BLOCK;
    return args->dim >= 0 && args->dim <= ATTENTION_MAX_DIM && args->value_dim >= 0 &&
           args->value_dim <= ATTENTION_MAX_DIM && args->group > 0 && args->keys >= 0 && args->key_begin >= 0 &&
           args->key_begin % ATTENTION_KEY_RUN == 0 && args->key_end <= args->keys &&
           (args->partials || (args->storage != STORED_INT8 && (!partial || single)));
}

EXPORT(attention_f32)
int32_t attention_f32(const struct attention_f32_arguments *args) {
    if (!arguments_are_sound(args)) return STATUS_BAD_ARGUMENT;
    if (args->partials) {
        attend_rows(args);
        return STATUS_OK;
    }
    for (int32_t head = args->head_begin; head < args->head_end; head++) {
        for (int32_t query = args->query_begin; query < args->query_end; query += ATTENTION_QUERY_BLOCK) {
            int32_t left = args->query_end - query;
            attend(args, head, query, query + (left < ATTENTION_QUERY_BLOCK ? left : ATTENTION_QUERY_BLOCK));
        }
    }
    return STATUS_OK;
}
