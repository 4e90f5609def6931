/* The five products of the gradient, for one block of queries and one block of keys. backward.c has the formulas.
 *
 * Scores and dP have the layout [key][8 queries], as in forward_tile.c, so dS is already the packed operand of dQ.
 * For dV and dK the weights and dS are transposed, four keys at a time, into [query][4 keys]. */
#include "backward_tile.h"

#include "../shared/vector_math.h"
#include "backward_careful.h"
#include "dropout.h"
#include "mask.h"

static void fill(float *x, int32_t n, float value) {
    for (int32_t i = 0; i < n; i++) x[i] = value;
}

/* Caps the scores and stores the derivative of the cap, 1 - tanh^2. */
static void cap_with_slopes(struct backward_workspace *w, float softcap, int32_t keys) {
    cap_scores(w->scores, softcap, keys * QUERY_GROUP);
    f32x4 one = splat_f32x4(1.0f), inverse = splat_f32x4(1.0f / softcap);
    for (int32_t i = 0; i < keys * QUERY_GROUP; i += 4) {
        f32x4 tanh = mul_f32x4(load_f32x4(w->scores + i), inverse);
        store_f32x4(w->slopes + i, sub_f32x4(one, mul_f32x4(tanh, tanh)));
    }
}

/* For the four queries from `row` of the block on: turns scores into weights and dP into dS, and stores both by query;
 * dS also in place. Both are zero where a score is -inf or a query sees no key, even if other operands are NaN.
 * `plain` is 1 if there is neither softcap nor dropout. */
INLINE void weigh_with_gradient(struct backward_workspace *w, int32_t row, int32_t padded, int plain) {
    f32x4 lse = load_f32x4(w->lse + row), delta = load_f32x4(w->delta + row);
    f32x4 minus_infinity = splat_f32x4(MINUS_INFINITY), zero = splat_f32x4(0.0f);
    f32x4 sees_nothing = wasm_f32x4_eq(lse, minus_infinity);
    for (int32_t j = 0; j < padded; j += TILE_ROWS) {
        f32x4 weight[TILE_ROWS], ds[TILE_ROWS];
        for (int32_t r = 0; r < TILE_ROWS; r++) {
            int32_t at = (j + r) * QUERY_GROUP + row % QUERY_GROUP;
            f32x4 score = load_f32x4(w->scores + at), dp = load_f32x4(w->dscores + at);
            f32x4 hidden = wasm_v128_or(wasm_f32x4_eq(score, minus_infinity), sees_nothing);
            /* A weight is at most 1. Rounding of the score or the log-sum-exp may make the difference positive. */
            f32x4 p = wasm_v128_andnot(exp_f32x4(pmin_f32x4(sub_f32x4(score, lse), zero)), hidden);
            weight[r] = p;
            if (!plain) {
                f32x4 kept = load_f32x4(w->kept + at);
                weight[r] = mul_f32x4(p, kept);
                dp = wasm_v128_andnot(mul_f32x4(dp, kept), wasm_f32x4_eq(kept, zero));
                p = mul_f32x4(p, load_f32x4(w->slopes + at));
            }
            ds[r] = wasm_v128_andnot(mul_f32x4(p, sub_f32x4(dp, delta)), hidden);
            store_f32x4(w->dscores + at, ds[r]);
        }
        transpose_f32x4(&weight[0], &weight[1], &weight[2], &weight[3]);
        transpose_f32x4(&ds[0], &ds[1], &ds[2], &ds[3]);
        for (int32_t r = 0; r < 4; r++) {
            store_f32x4(w->weights_by_query[j / TILE_ROWS] + (row + r) * TILE_ROWS, weight[r]);
            store_f32x4(w->dscores_by_query[j / TILE_ROWS] + (row + r) * TILE_ROWS, ds[r]);
        }
    }
}

static NOINLINE void weigh_plain(struct backward_workspace *w, int32_t row, int32_t padded) {
    weigh_with_gradient(w, row, padded, 1);
}

static NOINLINE void weigh_fully(struct backward_workspace *w, int32_t row, int32_t padded) {
    weigh_with_gradient(w, row, padded, 0);
}

/* Computes weights and dS of one group of eight queries with the packed keys, and adds to the packed dQ. */
static void add_query_gradients(struct backward_workspace *w, const struct attention_f32_arguments *args,
                                struct attention_place at, int32_t group) {
    int32_t padded = (at.keys + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS, size = at.keys * QUERY_GROUP;
    for (int32_t j = 0; j < at.keys; j += TILE_ROWS) {
        product_tile(w->scores + j * QUERY_GROUP, w->k + j * args->dim, w->q[group], args->dim);
        product_tile(w->dscores + j * QUERY_GROUP, w->v + j * args->value_dim, w->dout[group], args->value_dim);
    }
    int plain = args->softcap == 0.0f && !args->dropout;
    if (!plain) {
        fill(w->kept, padded * QUERY_GROUP, 1.0f);
        fill(w->slopes, padded * QUERY_GROUP, 1.0f);
    }
    if (args->softcap != 0.0f) cap_with_slopes(w, args->softcap, at.keys);
    if (args->dropout) drop_weights(w->kept, args, at);
    if (may_hide(args, at) || args->alibi) mask_scores(w->scores, args, at);
    fill(w->scores + size, padded * QUERY_GROUP - size, MINUS_INFINITY);
    for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
        int32_t row = group * QUERY_GROUP + half;
        if (plain) {
            weigh_plain(w, row, padded);
        } else {
            weigh_fully(w, row, padded);
        }
    }
    if (w->careful) {
        fill(w->hidden[group], size, 0.0f);
        mask_scores(w->hidden[group], args, at);
        add_careful_dq(w, group, args->dim, at.keys);
        return;
    }
    for (int32_t d = 0; d < args->dim; d += TILE_ROWS) {
        add_tile(w->dq[group] + d * QUERY_GROUP, QUERY_GROUP, w->k_columns[d / TILE_ROWS], w->dscores, at.keys);
    }
}

/* rows[keys][columns] += by_query^T x packed columns of the queries. For each panel of keys, only queries that are
 * close enough to the diagonal to see one of its keys are used. */
static void add_key_gradients(const struct attention_f32_arguments *args, struct attention_place place, float *rows,
                              int32_t stride, int32_t columns, const float *by_query, const float *packed) {
    for (int32_t j = 0; j < place.keys; j += TILE_ROWS) {
        int32_t key = place.key + j, left = place.keys - j, last = key + (left < TILE_ROWS ? left : TILE_ROWS) - 1;
        int32_t from = key - args->after - args->diagonal - place.query;
        int32_t to = last + args->before - args->diagonal - place.query + 1;
        from = from < 0 ? 0 : from;
        to = to > place.queries ? place.queries : to;
        if (from >= to) continue;
        const float *a = by_query + j / TILE_ROWS * BACKWARD_QUERIES * TILE_ROWS + from * TILE_ROWS;
        for (int32_t c = 0; c < columns; c += TILE_COLUMNS) {
            const float *b = packed + c * BACKWARD_QUERIES + from * TILE_COLUMNS;
            add_tile_within(rows + j * stride + c, stride, left, columns - c, a, b, to - from);
        }
    }
}

/* Sets the weights and dS of a group to zero, because all keys are hidden from it. */
static void clear_group(struct backward_workspace *w, int32_t group) {
    int32_t first = group * QUERY_GROUP * TILE_ROWS;
    for (int32_t panel = 0; panel < KEY_PANELS; panel++) {
        fill(w->weights_by_query[panel] + first, QUERY_GROUP * TILE_ROWS, 0.0f);
        fill(w->dscores_by_query[panel] + first, QUERY_GROUP * TILE_ROWS, 0.0f);
    }
}

void add_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place) {
    const struct attention_f32_arguments *forward = &args->forward;
    struct backward_workspace *w = forward->workspace;
    if (w->careful) fill(w->hidden[0], BACKWARD_GROUPS * ATTENTION_KEY_BLOCK * QUERY_GROUP, MINUS_INFINITY);
    for (int32_t g = 0; g * QUERY_GROUP < place.queries; g++) {
        int32_t first = place.query + g * QUERY_GROUP, left = place.queries - g * QUERY_GROUP;
        int32_t queries = left < QUERY_GROUP ? left : QUERY_GROUP;
        struct attention_place at = {place.head, first, queries, place.key, place.keys};
        at.keys = keys_in_reach(forward, at);
        if (at.keys == 0) continue;
        if (mask_hides_all(forward, at)) {
            clear_group(w, g);
        } else {
            add_query_gradients(w, forward, at, g);
        }
    }
    if (w->careful) {
        add_careful_key_gradients(args, place);
        return;
    }
    int32_t key_head = place.head / forward->group;
    add_key_gradients(forward, place, args->dv + key_head * args->dv_head_stride + place.key * args->dv_stride,
                      args->dv_stride, forward->value_dim, w->weights_by_query[0], w->dout_columns[0]);
    add_key_gradients(forward, place, args->dk + key_head * args->dk_head_stride + place.key * args->dk_stride,
                      args->dk_stride, forward->dim, w->dscores_by_query[0], w->q_columns[0]);
}
