/* The gradient of attention with respect to q, k and v, without storing the matrix of scores.
 *
 *   P = exp(S - lse)      dV = P^T dO           delta = rows of dO . O
 *   dP = dO V^T           dS = P (dP - delta)   dQ = scale dS K         dK = scale dS^T Q
 *
 *   dout and out (heads, queries, value_dim), lse (heads, queries); other shapes as in forward.c
 *
 * Source: Dao, "FlashAttention-2", 2023. Preconditions: the storage is STORED_ROWS, and key_begin is a multiple of 64.
 * The kernel adds to dq, dk and dv, which the caller sets to zeros before the first call.
 *
 * This file contains the loops over blocks; backward_tile.c contains the arithmetic. Blocks of scores are computed
 * again from q and k, in the same way as in the forward pass. With dropout, P in dV and dP in dS are multiplied by the
 * dropout factor of each weight. With a softcap, dS is multiplied by the cap's derivative. The log-sum-exp already
 * includes the sinks.
 *
 * The order is: heads, then blocks of 64 queries, then blocks of 64 keys. An element of dQ is therefore one chain of
 * multiply-adds over the keys, and an element of dK or dV is one chain over heads and queries. Each chain starts from
 * the value that is already there. The bits do not depend on how heads, queries and keys are split into calls, if calls
 * that add to the same rows keep this order.
 */
#include "../shared/pack.h"
#include "backward_tile.h"
#include "mask.h"

/* Packs the columns of x as panels[column / width][row][width]; a panel has `panel_size` floats. */
static void pack_column_panels(float *panels, int32_t panel_size, const float *x, int32_t stride, int32_t rows,
                               int32_t columns, int32_t width) {
    for (int32_t c = 0; c < columns; c += width) {
        pack_strided_f32(panels + c / width * panel_size, x + c, 1, stride, columns - c, rows, width);
    }
}

static float dot(const float *x, const float *y, int32_t n) {
    f32x4 sum = splat_f32x4(0.0f);
    int32_t c = 0;
    for (; c + 4 <= n; c += 4) sum = fma_f32x4(load_f32x4(x + c), load_f32x4(y + c), sum);
    return sum_f32x4(fma_f32x4(load_tail_f32x4(x + c, n - c, 0.0f), load_tail_f32x4(y + c, n - c, 0.0f), sum));
}

/* Returns 1 if n floats, a multiple of 4, are all finite. x * 0 is 0 if x is finite, else NaN. */
static int are_finite(const float *x, int32_t n) {
    f32x4 even = splat_f32x4(0.0f), odd = even;
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        even = fma_f32x4(load_f32x4(x + i), splat_f32x4(0.0f), even);
        odd = fma_f32x4(load_f32x4(x + i + 4), splat_f32x4(0.0f), odd);
    }
    if (i < n) even = fma_f32x4(load_f32x4(x + i), splat_f32x4(0.0f), even);
    return sum_f32x4(add_f32x4(even, odd)) == 0.0f;
}

static NOINLINE void pack_query_block(struct backward_workspace *w, const struct attention_backward_f32_arguments *args,
                                      int32_t head, int32_t query, int32_t end) {
    const struct attention_f32_arguments *forward = &args->forward;
    int32_t dim = forward->dim, value_dim = forward->value_dim, queries = end - query;
    const float *q = forward->q + head * forward->q_head_stride + query * forward->q_stride;
    const float *dout = args->dout + head * args->dout_head_stride + query * args->dout_stride;
    const float *dq = args->dq + head * args->dq_head_stride + query * args->dq_stride;
    w->finite_queries = 1;
    for (int32_t g = 0; g * QUERY_GROUP < queries; g++) {
        int32_t first = g * QUERY_GROUP, left = queries - first;
        pack_rows_f32(w->q[g], q + first * forward->q_stride, forward->q_stride, left, dim, QUERY_GROUP,
                      forward->scale);
        pack_rows_f32(w->dout[g], dout + first * args->dout_stride, args->dout_stride, left, value_dim, QUERY_GROUP,
                      forward->scale);
        pack_rows_f32(w->dq[g], dq + first * args->dq_stride, args->dq_stride, left, dim, QUERY_GROUP, 1.0f);
        w->finite_queries &= are_finite(w->q[g], dim * QUERY_GROUP) & are_finite(w->dout[g], value_dim * QUERY_GROUP);
    }
    pack_column_panels(w->q_columns[0], BACKWARD_QUERIES * TILE_COLUMNS, q, forward->q_stride, queries, dim,
                       TILE_COLUMNS);
    pack_column_panels(w->dout_columns[0], BACKWARD_QUERIES * TILE_COLUMNS, dout, args->dout_stride, queries, value_dim,
                       TILE_COLUMNS);
    const float *out = forward->out + head * forward->out_head_stride + query * forward->out_stride;
    const float *lse = forward->lse + head * forward->lse_head_stride + query;
    for (int32_t i = 0; i < BACKWARD_QUERIES; i++) {
        int exists = i < queries;
        w->lse[i] = exists ? lse[i] : MINUS_INFINITY;
        w->delta[i] =
            exists ? forward->scale * dot(dout + i * args->dout_stride, out + i * forward->out_stride, value_dim) : 0;
    }
}

static NOINLINE void pack_key_block(struct backward_workspace *w, const struct attention_f32_arguments *args,
                                    struct attention_place place) {
    int32_t key_head = place.head / args->group;
    const float *k = (const float *)args->k + key_head * args->k_head_stride + place.key * args->k_stride;
    const float *v = (const float *)args->v + key_head * args->v_head_stride + place.key * args->v_stride;
    int masked = may_hide(args, place), finite = w->finite_queries;
    for (int32_t j = 0; j < place.keys; j += TILE_ROWS) {
        float *k_panel = w->k + j * args->dim, *v_panel = w->v + j * args->value_dim;
        int32_t left = place.keys - j;
        pack_rows_f32(k_panel, k + j * args->k_stride, args->k_stride, left, args->dim, TILE_ROWS, 1.0f);
        pack_rows_f32(v_panel, v + j * args->v_stride, args->v_stride, left, args->value_dim, TILE_ROWS, 1.0f);
        if (masked && finite) finite = are_finite(k_panel, args->dim * TILE_ROWS);
    }
    pack_column_panels(w->k_columns[0], ATTENTION_KEY_BLOCK * TILE_ROWS, k, args->k_stride, place.keys, args->dim,
                       TILE_ROWS);
    w->careful = masked && !finite;
}

/* Stores the packed dQ as rows. */
static NOINLINE void store_query_gradients(const struct backward_workspace *w,
                                           const struct attention_backward_f32_arguments *args, int32_t head,
                                           int32_t query, int32_t end) {
    int32_t dim = args->forward.dim;
    for (int32_t i = 0; i < end - query; i += 4) {
        const float *packed = w->dq[i / QUERY_GROUP] + i % QUERY_GROUP;
        float *rows = args->dq + head * args->dq_head_stride + (query + i) * args->dq_stride;
        for (int32_t c = 0; c < dim; c += 4) {
            f32x4 x[4];
            for (int32_t r = 0; r < 4; r++) x[r] = canonical_f32x4(load_f32x4(packed + (c + r) * QUERY_GROUP));
            transpose_f32x4(&x[0], &x[1], &x[2], &x[3]);
            for (int32_t r = 0; r < 4 && i + r < end - query; r++) {
                store_at_most_f32x4(rows + r * args->dq_stride + c, dim - c, x[r]);
            }
        }
    }
}

static void backpropagate(const struct attention_backward_f32_arguments *args, int32_t head, int32_t query,
                          int32_t end) {
    const struct attention_f32_arguments *forward = &args->forward;
    struct backward_workspace *w = forward->workspace;
    pack_query_block(w, args, head, query, end);
    struct key_range range = keys_to_visit(forward, query, end);
    for (int32_t key = range.begin; key < range.end; key += ATTENTION_KEY_BLOCK) {
        int32_t left = forward->key_end - key;
        int32_t keys = left < ATTENTION_KEY_BLOCK ? left : ATTENTION_KEY_BLOCK;
        struct attention_place place = {head, query, end - query, key, keys};
        if (mask_hides_all(forward, place)) continue;
        pack_key_block(w, forward, place);
        add_gradients(args, place);
    }
    store_query_gradients(w, args, head, query, end);
}

EXPORT(attention_backward_f32)
int32_t attention_backward_f32(const struct attention_backward_f32_arguments *args) {
    const struct attention_f32_arguments *forward = &args->forward;
    if (forward->dim < 0 || forward->dim > ATTENTION_MAX_DIM || forward->value_dim < 0 ||
        forward->value_dim > ATTENTION_MAX_DIM || forward->group <= 0 || forward->key_begin < 0 ||
        forward->storage != STORED_ROWS || forward->key_begin % ATTENTION_KEY_BLOCK != 0 ||
        forward->key_end > forward->keys) {
        return STATUS_BAD_ARGUMENT;
    }
    for (int32_t head = forward->head_begin; head < forward->head_end; head++) {
        for (int32_t query = forward->query_begin; query < forward->query_end; query += BACKWARD_QUERIES) {
            int32_t left = forward->query_end - query;
            backpropagate(args, head, query, query + (left < BACKWARD_QUERIES ? left : BACKWARD_QUERIES));
        }
    }
    return STATUS_OK;
}
