/* The gradient's last three products when some key may be hidden and some operand is not finite.
 *
 * The weight of a hidden key is 0, but 0 * NaN would reach the gradients of queries and keys that do not see each
 * other. Hidden pairs of query and key are therefore left out. The other additions are those of backward_tile.c, in
 * the same order. */
#include "backward_careful.h"

void add_careful_dq(struct backward_workspace *w, int32_t group, int32_t dim, int32_t keys) {
    for (int32_t d = 0; d < dim; d++) {
        const float *column = w->k_columns[d / TILE_ROWS] + d % TILE_ROWS;
        for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
            float *at = w->dq[group] + d * QUERY_GROUP + half;
            f32x4 sum = load_f32x4(at);
            for (int32_t j = 0; j < keys; j++) {
                f32x4 seen =
                    wasm_f32x4_ne(load_f32x4(w->hidden[group] + j * QUERY_GROUP + half), splat_f32x4(MINUS_INFINITY));
                f32x4 k = wasm_v128_and(splat_f32x4(column[j * TILE_ROWS]), seen);
                sum = fma_f32x4(k, load_f32x4(w->dscores + j * QUERY_GROUP + half), sum);
            }
            store_f32x4(at, sum);
        }
    }
}

/* row += factor * x */
static void add_multiple(float *row, float factor, const float *x, int32_t n) {
    f32x4 factors = splat_f32x4(factor);
    int32_t c = 0;
    for (; c + 4 <= n; c += 4) {
        store_f32x4(row + c, canonical_f32x4(fma_f32x4(factors, load_f32x4(x + c), load_f32x4(row + c))));
    }
    f32x4 last = load_tail_f32x4(row + c, n - c, 0.0f);
    store_tail_f32x4(row + c, n - c, canonical_f32x4(fma_f32x4(factors, load_tail_f32x4(x + c, n - c, 0.0f), last)));
}

void add_careful_key_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place) {
    const struct attention_f32_arguments *forward = &args->forward;
    const struct backward_workspace *w = forward->workspace;
    const float *q = forward->q + place.head * forward->q_head_stride + place.query * forward->q_stride;
    const float *dout = args->dout + place.head * args->dout_head_stride + place.query * args->dout_stride;
    int32_t key_head = place.head / forward->group;
    float *dk = args->dk + key_head * args->dk_head_stride + place.key * args->dk_stride;
    float *dv = args->dv + key_head * args->dv_head_stride + place.key * args->dv_stride;
    for (int32_t j = 0; j < place.keys; j++) {
        for (int32_t i = 0; i < place.queries; i++) {
            float hidden = w->hidden[i / QUERY_GROUP][j * QUERY_GROUP + i % QUERY_GROUP];
            if (hidden == MINUS_INFINITY) continue;
            int32_t panel = j / TILE_ROWS, at = i * TILE_ROWS + j % TILE_ROWS;
            add_multiple(dv + j * args->dv_stride, w->weights_by_query[panel][at], dout + i * args->dout_stride,
                         forward->value_dim);
            add_multiple(dk + j * args->dk_stride, w->dscores_by_query[panel][at], q + i * forward->q_stride,
                         forward->dim);
        }
    }
}
