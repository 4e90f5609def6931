/* Attention one query at a time, reading keys and values in place: see forward.c for the formula.
 *
 * `partials` stores the accumulated state of each query: an array [head][query] of struct row_state, whose `out` is
 * padded to a multiple of four. A call that processes only a part of the keys, or does not finish, uses
 * [head][query][run] instead, with a state for each run of keys. Such calls may be made in any order and on any thread.
 * A last call, with `finish` and no keys, merges the runs in order.
 *
 * Every sum has the same order of additions as in forward.c, so the bits are the same. */
#include "one_query.h"

#include "../shared/vector_math.h"
#include "dropout.h"
#include "finish.h"
#include "mask.h"
#include "one_query_halves.h"
#include "one_query_int8.h"
#include "one_query_products.h"
#include "storage.h"

/* Returns 1 if a call processes all keys and finishes. */
static int is_whole(const struct attention_f32_arguments *args) {
    return args->finish && args->key_begin == 0 && args->key_end == args->keys;
}

static struct row_state *partial_state(const struct attention_f32_arguments *args, int32_t head, int32_t query,
                                       int32_t run) {
    int32_t runs = is_whole(args) ? 1 : (args->keys + ATTENTION_KEY_RUN - 1) / ATTENTION_KEY_RUN;
    int32_t size = 8 + (args->value_dim + 3) / 4 * 4;
    return (struct row_state *)(args->partials + ((head * args->queries + query) * runs + run) * size);
}

static void start_row(struct row_state *state, int32_t value_dim) {
    store_f32x4(state->max, splat_f32x4(MINUS_INFINITY));
    store_f32x4(state->sum, splat_f32x4(0.0f));
    for (int32_t c = 0; c < value_dim; c += 4) store_f32x4(state->out + c, splat_f32x4(0.0f));
}

/* Turns scores into weights, as `weigh` in forward_tile.c does; returns the factor for the accumulated values. */
static NOINLINE f32x4 weigh_row(float *scores, struct row_state *state, int32_t keys) {
    f32x4 old = load_f32x4(state->max), m = old;
    for (int32_t j = 0; j < keys; j += 4) m = pmax_f32x4(m, load_f32x4(scores + j));
    m = greatest_f32x4(m);
    store_f32x4(state->max, m);
    f32x4 origin = wasm_v128_andnot(m, wasm_f32x4_eq(m, splat_f32x4(MINUS_INFINITY)));
    f32x4 shrink = exp_f32x4(sub_f32x4(old, origin)), sum = splat_f32x4(0.0f);
    for (int32_t j = 0; j < keys; j += 4) {
        f32x4 e = exp_f32x4(sub_f32x4(load_f32x4(scores + j), origin));
        store_f32x4(scores + j, e);
        sum = add_f32x4(sum, e);
    }
    store_f32x4(state->sum, fma_f32x4(load_f32x4(state->sum), shrink, splat_f32x4(sum_f32x4(sum))));
    return shrink;
}

/* w->scores[j] = w->q . key j of the block */
static void score_row(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at,
                      const struct stored_block *block) {
    int32_t stored = at.head / args->group * args->k_head_stride + at.key * args->k_stride;
    if (args->storage == STORED_ROWS) {
        score_rows(w->scores, w->q, block->k, block->k_stride, args->dim, at.keys);
    } else if (args->storage == STORED_HALVES) {
        score_halves(w->scores, w->q, (const int16_t *)args->k + stored, args->dim, at.keys, row_room(args));
    } else if (args->storage == STORED_INT8) {
        score_row_int8(w, args, at);
    } else {
        for (int32_t j = 0; j < at.keys; j += ATTENTION_PANEL) {
            score_panel(w->scores + j, w->q, (const float *)args->k + stored + j * args->k_stride, args->dim);
        }
    }
}

/* out = out * shrink + sum of w->scores[j] * value j */
static void add_values(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                       struct attention_place at, const struct stored_block *block, f32x4 shrink) {
    if (args->storage == STORED_ROWS) {
        add_columns(out, w->scores, block->v, block->v_stride, ATTENTION_PANEL, at.keys, shrink, args->value_dim);
        return;
    }
    int32_t next = args->capacity * ATTENTION_PANEL; /* A panel of columns has room for all keys of the head. */
    int32_t stored = at.head / args->group * args->v_head_stride + at.key * ATTENTION_PANEL;
    if (args->storage == STORED_PANELS) {
        add_columns(out, w->scores, (const float *)args->v + stored, ATTENTION_PANEL, next, at.keys, shrink,
                    args->value_dim);
        return;
    }
    float most = args->dropout ? args->kept_scale : 1.0f; /* The greatest possible weight. */
    add_halves(out, w->scores, (const int16_t *)args->v + stored, next, at.keys, shrink, args->value_dim, most,
               row_room(args));
}

/* Returns 1 if any of the accumulated values is infinite or NaN. */
static int is_marred(const float *out, int32_t value_dim) {
    f32x4 zeros = splat_f32x4(0.0f);
    for (int32_t c = 0; c < value_dim; c += 4) zeros = fma_f32x4(load_f32x4(out + c), splat_f32x4(0.0f), zeros);
    return sum_f32x4(zeros) != 0.0f;
}

/* Adds the values of a block again to the state before the block, this time without hidden keys: their weight is 0,
 * but 0 * NaN would affect the query. */
static NOINLINE void add_careful_row(struct row_workspace *w, const struct attention_f32_arguments *args,
                                     struct attention_place at, struct row_state *state,
                                     const struct stored_block *block, f32x4 shrink) {
    for (int32_t j = 0; j < ATTENTION_KEY_BLOCK; j++) w->hidden[j] = 0.0f;
    mask_row(w->hidden, args, at);
    for (int32_t c = 0; c < args->value_dim; c += 4) {
        f32x4 sum = mul_f32x4(load_f32x4(w->before + c), shrink);
        int32_t left = args->value_dim - c;
        for (int32_t j = 0; j < at.keys; j++) {
            if (w->hidden[j] == MINUS_INFINITY) continue;
            f32x4 value = load_at_most_f32x4(block->v + j * block->v_stride + c, left);
            sum = fma_f32x4(value, splat_f32x4(w->scores[j]), sum);
        }
        store_f32x4(state->out + c, sum);
    }
}

/* Updates one query's state with one block of keys. */
static void meet_block(const struct attention_f32_arguments *args, struct attention_place at, struct row_state *state) {
    struct row_workspace *w = row_workspace(args);
    int int8 = args->storage == STORED_INT8, rows = args->storage == STORED_ROWS;
    struct stored_block block = {0};
    if (rows) block = load_block(args->workspace, args, at.head / args->group, at.key, at.keys);
    score_row(w, args, at, &block);
    int32_t padded = (at.keys + 3) / 4 * 4;
    if (args->softcap != 0.0f) cap_scores(w->scores, args->softcap, padded);
    int masked = may_hide(args, at);
    if (masked || args->alibi) mask_row(w->scores, args, at);
    for (int32_t j = at.keys; j < padded; j++) w->scores[j] = MINUS_INFINITY;
    f32x4 shrink = weigh_row(w->scores, state, padded);
    if (args->dropout) drop_row(w->scores, args, at);
    if (int8) {
        add_values_int8(state->out, w, args, at, masked, shrink);
        return;
    }
    for (int32_t c = 0; masked && c < args->value_dim; c += 4) store_f32x4(w->before + c, load_f32x4(state->out + c));
    add_values(state->out, w, args, at, &block, shrink);
    if (masked && is_marred(state->out, args->value_dim)) {
        if (!rows) block = load_block(args->workspace, args, at.head / args->group, at.key, at.keys);
        add_careful_row(w, args, at, state, &block, shrink);
    }
}

/* Accumulates keys [key, key_end) of one run for one query. */
static void visit_run_of_row(const struct attention_f32_arguments *args, struct row_state *state, int32_t head,
                             int32_t query, int32_t key, int32_t key_end) {
    struct row_workspace *w = row_workspace(args);
    start_row(state, args->value_dim);
    const float *q = args->q + head * args->q_head_stride + query * args->q_stride;
    for (int32_t d = 0; d < args->dim; d++) w->q[d] = q[d] * args->scale;
    if (args->storage == STORED_INT8) prepare_row_int8(w, args);
    for (; key < key_end; key += ATTENTION_KEY_BLOCK) {
        int32_t left = key_end - key, keys = left < ATTENTION_KEY_BLOCK ? left : ATTENTION_KEY_BLOCK;
        struct attention_place at = {head, query, 1, key, keys};
        at.keys = keys_in_reach(args, at);
        if (at.keys > 0 && !mask_hides_all(args, at)) meet_block(args, at, state);
    }
}

/* For the heads that read one key head: all queries process one run of keys, then all process the next. */
static void visit_runs(const struct attention_f32_arguments *args, int32_t head_begin, int32_t head_end) {
    for (int32_t key = args->key_begin; key < args->key_end; key += ATTENTION_KEY_RUN) {
        int32_t end = args->key_end - key < ATTENTION_KEY_RUN ? args->key_end : key + ATTENTION_KEY_RUN;
        for (int32_t head = head_begin; head < head_end; head++) {
            for (int32_t query = args->query_begin; query < args->query_end; query++) {
                if (!is_whole(args)) {
                    struct row_state *state = partial_state(args, head, query, key / ATTENTION_KEY_RUN);
                    visit_run_of_row(args, state, head, query, key, end);
                    continue;
                }
                struct row_state *run = (struct row_state *)row_workspace(args)->run;
                visit_run_of_row(args, run, head, query, key, end);
                merge_row(partial_state(args, head, query, 0), run, args->value_dim);
            }
        }
    }
}

static void finish_query(const struct attention_f32_arguments *args, int32_t head, int32_t query) {
    if (is_whole(args)) {
        finish_row(partial_state(args, head, query, 0), args, head, query);
        return;
    }
    struct row_state *total = (struct row_state *)row_workspace(args)->total;
    start_row(total, args->value_dim);
    for (int32_t run = 0; run * ATTENTION_KEY_RUN < args->keys; run++) {
        merge_row(total, partial_state(args, head, query, run), args->value_dim);
    }
    finish_row(total, args, head, query);
}

void attend_rows(const struct attention_f32_arguments *args) {
    for (int32_t head = args->head_begin; head < args->head_end;) {
        int32_t group_end = (head / args->group + 1) * args->group;
        int32_t end = group_end < args->head_end ? group_end : args->head_end;
        for (int32_t h = head; is_whole(args) && h < end; h++) {
            for (int32_t query = args->query_begin; query < args->query_end; query++) {
                start_row(partial_state(args, h, query, 0), args->value_dim);
            }
        }
        visit_runs(args, head, end);
        head = end;
    }
    for (int32_t head = args->head_begin; args->finish && head < args->head_end; head++) {
        for (int32_t query = args->query_begin; query < args->query_end; query++) finish_query(args, head, query);
    }
}
