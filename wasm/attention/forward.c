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

/* Some queries of one head, [begin, end). */
struct query_block {
    int32_t head, begin, end;
};

/* Returns the number of queries that fit into the workspace, a multiple of eight. */
static int32_t queries_at_once(const struct attention_f32_arguments *args) {
    int32_t groups = GROUPS_ROOM / GROUP_FLOATS(args->dim, args->value_dim);
    return groups * QUERY_GROUP < MOST_QUERIES ? groups * QUERY_GROUP : MOST_QUERIES;
}

static NOINLINE void start_queries(struct attention_workspace *w, const struct attention_f32_arguments *args,
                                   struct query_block block) {
    const float *q = args->q + block.head * args->q_head_stride;
    for (int32_t g = 0, first = block.begin; first < block.end; g++, first += QUERY_GROUP) {
        struct query_group group = query_group(w, args, g);
        pack_rows_f32(group.q, q + first * args->q_stride, args->q_stride, block.end - first, args->dim, QUERY_GROUP,
                      args->scale);
        start_group(group.total, args->value_dim);
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
                               struct attention_place at, struct group_state *state, const float *correction) {
    for (int32_t i = 0; i < ATTENTION_KEY_BLOCK * QUERY_GROUP; i++) w->hidden[i] = 0.0f;
    mask_scores(w->hidden, args, at);
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        careful_value_tile(state->out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, correction, w->hidden,
                           at.keys);
    }
}

/* Updates the state of one group of eight queries, which are packed in `q`, with one packed block of keys. */
static void meet_keys(struct attention_workspace *w, const struct attention_f32_arguments *args,
                      struct attention_place at, const float *q, struct group_state *state, int finite) {
    int32_t padded = (at.keys + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    for (int32_t j = 0; j < at.keys; j += TILE_ROWS) {
        product_tile(w->scores + j * QUERY_GROUP, w->k + j * args->dim, q, args->dim);
    }
    if (args->softcap != 0.0f) cap_scores(w->scores, args->softcap, at.keys * QUERY_GROUP);
    int masked = may_hide(args, at);
    if (masked || args->alibi) mask_scores(w->scores, args, at);
    for (int32_t i = at.keys * QUERY_GROUP; i < padded * QUERY_GROUP; i++) w->scores[i] = MINUS_INFINITY;
    float correction[QUERY_GROUP];
    weigh(w->scores, state->max, state->sum, correction, padded);
    weigh(w->scores + 4, state->max + 4, state->sum + 4, correction + 4, padded);
    if (args->dropout) drop_weights(w->scores, args, at);
    if (masked && !finite) {
        add_careful_values(w, args, at, state, correction);
        return;
    }
    f32x4 low = load_f32x4(correction), high = load_f32x4(correction + 4);
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        value_tile(state->out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, low, high, at.keys);
    }
}

/* Updates all groups of one block of queries with keys [key, key + keys), at most 64. `first_run` says that these
 * keys belong to the first run, which is accumulated in the total itself. */
static void visit_keys(struct attention_workspace *w, const struct attention_f32_arguments *args,
                       struct query_block block, int32_t key, int32_t keys, int first_run) {
    struct attention_place whole = {block.head, block.begin, block.end - block.begin, key, keys};
    if (mask_hides_all(args, whole)) return;
    struct stored_block stored = load_block(w, args, block.head / args->group, key, keys);
    pack_keys(w, &stored, args, keys);
    int finite = pack_values(w, &stored, args->value_dim, keys);
    for (int32_t g = 0, first = block.begin; first < block.end; g++, first += QUERY_GROUP) {
        int32_t queries = block.end - first < QUERY_GROUP ? block.end - first : QUERY_GROUP;
        struct attention_place at = {block.head, first, queries, key, keys};
        at.keys = keys_in_reach(args, at);
        if (at.keys <= 0 || mask_hides_all(args, at)) continue;
        struct query_group group = query_group(w, args, g);
        meet_keys(w, args, at, group.q, first_run ? group.total : group.run, finite);
    }
}

/* Accumulates one run of keys, [key, key_end), and merges it into the total. Merging the first run into a total that
 * has seen no key would only copy it, so the first run needs no state of its own. */
static void visit_run(struct attention_workspace *w, const struct attention_f32_arguments *args,
                      struct query_block block, int32_t key, int32_t key_end, int first_run) {
    int32_t groups = first_run ? 0 : (block.end - block.begin + QUERY_GROUP - 1) / QUERY_GROUP;
    for (int32_t g = 0; g < groups; g++) start_group(query_group(w, args, g).run, args->value_dim);
    for (; key < key_end; key += ATTENTION_KEY_BLOCK) {
        int32_t keys = args->key_end - key < ATTENTION_KEY_BLOCK ? args->key_end - key : ATTENTION_KEY_BLOCK;
        visit_keys(w, args, block, key, keys, first_run);
    }
    for (int32_t g = 0; g < groups; g++) {
        struct query_group group = query_group(w, args, g);
        merge_group(group.total, group.run, args->value_dim);
    }
}

static void attend(const struct attention_f32_arguments *args, struct query_block block) {
    struct attention_workspace *w = args->workspace;
    int first_run = args->key_begin == 0;
    if (first_run) start_queries(w, args, block);
    struct key_range keys = keys_to_visit(args, block.begin, block.end);
    for (int32_t key = keys.begin; key < keys.end; first_run = 0) {
        int32_t next = key / ATTENTION_KEY_RUN * ATTENTION_KEY_RUN + ATTENTION_KEY_RUN;
        visit_run(w, args, block, key, next < keys.end ? next : keys.end, first_run);
        key = next;
    }
    if (args->finish) finish_queries(w, args, block.head, block.begin, block.end);
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
    int32_t most = queries_at_once(args);
    for (int32_t head = args->head_begin; head < args->head_end; head++) {
        for (int32_t query = args->query_begin; query < args->query_end; query += most) {
            int32_t left = args->query_end - query;
            attend(args, (struct query_block){head, query, query + (left < most ? left : most)});
        }
    }
    return STATUS_OK;
}
