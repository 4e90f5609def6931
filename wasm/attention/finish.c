/* The end of attention: merging runs of keys, adding sinks, dividing by the sum, and the log-sum-exp.
 *
 * To merge two parts with maxima m and m', multiply them by exp(m - M) and exp(m' - M), where M is the greater
 * maximum. */
#include "finish.h"

#include "../shared/log.h"
#include "../shared/vector_math.h"

/* The factors for the accumulated values and for the values that are merged into them. */
struct shares {
    f32x4 old, new;
};

/* Merges a new maximum and sum into those of four queries; returns the factors for the values. */
INLINE struct shares merge_sums(float *max, float *sum, f32x4 new_max, f32x4 new_sum) {
    f32x4 old = load_f32x4(max), greatest = pmax_f32x4(old, new_max);
    f32x4 origin = wasm_v128_andnot(greatest, wasm_f32x4_eq(greatest, splat_f32x4(MINUS_INFINITY)));
    struct shares s = {exp_f32x4(sub_f32x4(old, origin)), exp_f32x4(sub_f32x4(new_max, origin))};
    store_f32x4(max, greatest);
    store_f32x4(sum, fma_f32x4(new_sum, s.new, mul_f32x4(load_f32x4(sum), s.old)));
    return s;
}

INLINE void merge_values(float *out, const float *values, struct shares s) {
    store_f32x4(out, fma_f32x4(load_f32x4(values), s.new, mul_f32x4(load_f32x4(out), s.old)));
}

void merge_group(struct group_state *total, const struct group_state *run, int32_t value_dim) {
    for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
        struct shares s =
            merge_sums(total->max + half, total->sum + half, load_f32x4(run->max + half), load_f32x4(run->sum + half));
        for (int32_t c = 0; c < value_dim; c++) {
            merge_values(total->out + c * QUERY_GROUP + half, run->out + c * QUERY_GROUP + half, s);
        }
    }
}

void merge_row(struct row_state *total, const struct row_state *run, int32_t value_dim) {
    struct shares s = merge_sums(total->max, total->sum, load_f32x4(run->max), load_f32x4(run->sum));
    for (int32_t c = 0; c < value_dim; c += 4) merge_values(total->out + c, run->out + c, s);
}

/* Adds a sink to the sums of four queries: one more logit, which has no value. Returns the factor for the
 * accumulated values. */
INLINE f32x4 add_sink(float *max, float *sum, const float *sink) {
    if (!sink) return splat_f32x4(1.0f);
    return merge_sums(max, sum, splat_f32x4(*sink), splat_f32x4(1.0f)).old;
}

/* values * share / sum, and 0 for a query that saw no key. A result of -0 becomes +0, because the sign of a zero
 * would otherwise depend on skipped blocks. */
INLINE f32x4 quotient(f32x4 values, f32x4 share, f32x4 sums) {
    f32x4 none = wasm_f32x4_eq(sums, splat_f32x4(0.0f));
    f32x4 out = div_f32x4(mul_f32x4(values, share), sums);
    return canonical_f32x4(add_f32x4(wasm_v128_andnot(out, none), splat_f32x4(0.0f)));
}

static float log_sum(float max, float sum) { return sum == 0.0f ? MINUS_INFINITY : canonical_f32(max + log_f32(sum)); }

/* Stores up to four queries of a group as rows, transposed back and divided by their sums. */
static void store_queries(const float *out, f32x4 share, f32x4 sums, float *rows, int32_t stride, int32_t queries,
                          int32_t value_dim) {
    for (int32_t c = 0; c < value_dim; c += 4) {
        f32x4 x[4];
        for (int32_t i = 0; i < 4; i++) x[i] = quotient(load_f32x4(out + (c + i) * QUERY_GROUP), share, sums);
        transpose_f32x4(&x[0], &x[1], &x[2], &x[3]);
        for (int32_t i = 0; i < queries; i++) {
            store_at_most_f32x4(rows + i * stride + c, value_dim - c, x[i]);
        }
    }
}

void finish_queries(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                    int32_t query, int32_t end) {
    const float *sink = args->sinks ? args->sinks + head : 0;
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        struct group_state *state = query_group(w, args, g).total;
        int32_t first = query + g * QUERY_GROUP, queries = end - first < QUERY_GROUP ? end - first : QUERY_GROUP;
        for (int32_t half = 0; half < queries; half += 4) {
            f32x4 share = add_sink(state->max + half, state->sum + half, sink);
            float *rows = args->out + head * args->out_head_stride + (first + half) * args->out_stride;
            store_queries(state->out + half, share, load_f32x4(state->sum + half), rows, args->out_stride,
                          queries - half < 4 ? queries - half : 4, args->value_dim);
        }
        for (int32_t i = 0; args->lse && i < queries; i++) {
            args->lse[head * args->lse_head_stride + first + i] = log_sum(state->max[i], state->sum[i]);
        }
    }
}

void finish_row(struct row_state *state, const struct attention_f32_arguments *args, int32_t head, int32_t query) {
    f32x4 share = add_sink(state->max, state->sum, args->sinks ? args->sinks + head : 0);
    float *row = args->out + head * args->out_head_stride + query * args->out_stride;
    for (int32_t c = 0; c < args->value_dim; c += 4) {
        f32x4 x = quotient(load_f32x4(state->out + c), share, load_f32x4(state->sum));
        store_at_most_f32x4(row + c, args->value_dim - c, x);
    }
    if (args->lse) args->lse[head * args->lse_head_stride + query] = log_sum(state->max[0], state->sum[0]);
}
