/* The end of one block of queries: sinks, the division by the sum, and the log-sum-exp. */
#include "attention.h"
#include "log.h"
#include "vector_math.h"

#define MINUS_INFINITY (-__builtin_inff())

/* Lets a head's sink join the sum of each query of a group: one more logit without a value. What was
 * summed so far then counts `share`. */
static void add_sink(float *max, float *sum, float *share, float sink) {
    for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
        f32x4 old = load_f32x4(max + half), greatest = pmax_f32x4(old, splat_f32x4(sink));
        f32x4 origin = wasm_v128_andnot(greatest, wasm_f32x4_eq(greatest, splat_f32x4(MINUS_INFINITY)));
        f32x4 shrink = exp_f32x4(sub_f32x4(old, origin));
        f32x4 extra = exp_f32x4(sub_f32x4(splat_f32x4(sink), origin));
        store_f32x4(max + half, greatest);
        store_f32x4(share + half, shrink);
        store_f32x4(sum + half, fma_f32x4(load_f32x4(sum + half), shrink, extra));
    }
}

/* Four queries of a group: out * share / sum, transposed and stored as their rows. */
static void store_queries(const float *out, const float *sum, const float *share, float *rows, int32_t stride,
                          int32_t queries, int32_t value_dim) {
    f32x4 sums = load_f32x4(sum), shares = load_f32x4(share), none = wasm_f32x4_eq(sums, splat_f32x4(0.0f));
    for (int32_t c = 0; c < value_dim; c += 4) {
        f32x4 x[4];
        for (int32_t i = 0; i < 4; i++) {
            f32x4 sum_of_values = mul_f32x4(load_f32x4(out + (c + i) * QUERY_GROUP), shares);
            x[i] = wasm_v128_andnot(div_f32x4(sum_of_values, sums), none);
        }
        transpose_f32x4(&x[0], &x[1], &x[2], &x[3]);
        for (int32_t i = 0; i < queries; i++) {
            if (value_dim - c >= 4) {
                store_f32x4(rows + i * stride + c, x[i]);
            } else {
                store_tail_f32x4(rows + i * stride + c, value_dim - c, x[i]);
            }
        }
    }
}

void finish_queries(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                    int32_t query, int32_t end) {
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        int32_t first = query + g * QUERY_GROUP, queries = end - first < QUERY_GROUP ? end - first : QUERY_GROUP;
        float share[QUERY_GROUP] = {1, 1, 1, 1, 1, 1, 1, 1};
        if (args->sinks) add_sink(w->max[g], w->sum[g], share, args->sinks[head]);
        for (int32_t half = 0; half < queries; half += 4) {
            float *rows = args->out + head * args->out_head_stride + (first + half) * args->out_stride;
            store_queries(w->out[g] + half, w->sum[g] + half, share + half, rows, args->out_stride,
                          queries - half < 4 ? queries - half : 4, args->value_dim);
        }
        for (int32_t i = 0; args->lse && i < queries; i++) {
            float sum = w->sum[g][i];
            args->lse[head * args->lse_head_stride + first + i] =
                sum == 0.0f ? MINUS_INFINITY : w->max[g][i] + log_f32(sum);
        }
    }
}
