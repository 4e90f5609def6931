/* The obvious attention: for each query the scores of some keys, their exponentials, and the weighted
 * values; the greatest score, the sum and the output are carried from block to block of keys, and in
 * the workspace from call to call. */
#include "../abi.h"
#include "../log.h"
#include "../philox.h"
#include "scalar_math.h"

typedef struct attention_f32_arguments arguments;

/* The score of key j for query i, -inf where it may not be seen. */
static float score(const arguments *args, int32_t head, int32_t i, int32_t j) {
    int32_t past = j - (i + args->diagonal); /* How far the key lies past the query's diagonal. */
    if (past > args->after || past < -args->before) return MINUS_INFINITY;
    float bias = 0.0f;
    if (args->mask_kind != MASK_NONE) {
        int32_t at = head * args->mask_head_stride + i * args->mask_query_stride + j * args->mask_key_stride;
        if (args->mask_kind == MASK_BOOLEAN && !((const uint8_t *)args->mask)[at]) return MINUS_INFINITY;
        if (args->mask_kind == MASK_ADDITIVE) bias = ((const float *)args->mask)[at];
        if (bias == MINUS_INFINITY) return bias;
    }
    const float *q = args->q + head * args->q_head_stride + i * args->q_stride;
    const float *k = args->k + head / args->group * args->k_head_stride + j * args->k_stride;
    float dot = 0.0f;
    for (int32_t d = 0; d < args->dim; d++) dot += q[d] * args->scale * k[d];
    if (args->softcap != 0.0f) dot = args->softcap * tanh_f32(dot / args->softcap);
    if (args->alibi) dot -= args->alibi[head] * (float)(past < 0 ? -past : past);
    return dot + bias;
}

/* Whether dropout takes a weight: see ../attention_dropout.c. */
static int is_dropped(const arguments *args, int32_t head, int32_t i, int32_t j) {
    uint32_t words[4] = {(uint32_t)j / 4, args->first_query + (uint32_t)i, args->first_head + (uint32_t)head,
                         args->batch};
    uint32_t low = args->seed_low, high = args->seed_high;
    for (int round = 0; round < PHILOX_ROUNDS; round++, low += PHILOX_W0, high += PHILOX_W1) {
        uint64_t first = (uint64_t)words[0] * PHILOX_M0, third = (uint64_t)words[2] * PHILOX_M1;
        words[0] = (uint32_t)(third >> 32) ^ words[1] ^ low;
        words[2] = (uint32_t)(first >> 32) ^ words[3] ^ high;
        words[1] = (uint32_t)third;
        words[3] = (uint32_t)first;
    }
    return words[j % 4] < args->dropout;
}

/* Brings one query's state up to date with keys [begin, end). */
static void visit(const arguments *args, float *out, float *max, float *sum, int32_t head, int32_t i, int32_t begin,
                  int32_t end) {
    float weights[ATTENTION_KEY_BLOCK], greatest = *max;
    for (int32_t j = begin; j < end; j++) {
        weights[j - begin] = score(args, head, i, j);
        greatest = weights[j - begin] > greatest ? weights[j - begin] : greatest;
    }
    float origin = greatest == MINUS_INFINITY ? 0.0f : greatest, shrink = exp_f32(*max - origin);
    *max = greatest;
    *sum *= shrink;
    for (int32_t c = 0; c < args->value_dim; c++) out[c] *= shrink;
    for (int32_t j = begin; j < end; j++) {
        float hidden = weights[j - begin], weight = exp_f32(hidden - origin);
        if (hidden == MINUS_INFINITY) continue;
        const float *v = args->v + head / args->group * args->v_head_stride + j * args->v_stride;
        *sum += weight;
        if (args->dropout) weight = is_dropped(args, head, i, j) ? 0.0f : weight * args->kept_scale;
        for (int32_t c = 0; c < args->value_dim; c++) out[c] += weight * v[c];
    }
}

/* One more logit, without a value. */
static void add_sink(const arguments *args, float *out, float *max, float *sum, float sink) {
    float greatest = sink > *max ? sink : *max, origin = greatest == MINUS_INFINITY ? 0.0f : greatest;
    float shrink = exp_f32(*max - origin);
    for (int32_t c = 0; c < args->value_dim; c++) out[c] *= shrink;
    *sum = *sum * shrink + exp_f32(sink - origin);
    *max = greatest;
}

EXPORT(attention_f32)
int32_t attention_f32(const arguments *args) {
    if (args->dim < 0 || args->value_dim < 0 || args->group <= 0) return STATUS_BAD_ARGUMENT;
    if (args->dim > ATTENTION_MAX_DIM || args->value_dim > ATTENTION_MAX_DIM) return STATUS_BAD_ARGUMENT;
    float *state = args->workspace;
    for (int32_t h = args->head_begin; h < args->head_end; h++) {
        for (int32_t i = args->query_begin; i < args->query_end; i++) {
            int32_t slot = args->key_end - args->key_begin < args->keys ? i - args->query_begin : 0;
            float *carried = state + slot * 2;
            float *out = args->out + h * args->out_head_stride + i * args->out_stride;
            if (args->key_begin == 0) {
                carried[0] = MINUS_INFINITY, carried[1] = 0.0f;
                for (int32_t c = 0; c < args->value_dim; c++) out[c] = 0.0f;
            }
            for (int32_t j = args->key_begin; j < args->key_end; j += ATTENTION_KEY_BLOCK) {
                int32_t end = args->key_end - j < ATTENTION_KEY_BLOCK ? args->key_end : j + ATTENTION_KEY_BLOCK;
                visit(args, out, carried, carried + 1, h, i, j, end);
            }
            if (args->key_end < args->keys) continue;
            if (args->sinks) add_sink(args, out, carried, carried + 1, args->sinks[h]);
            float sum = carried[1];
            for (int32_t c = 0; c < args->value_dim; c++) out[c] = sum == 0.0f ? 0.0f : out[c] / sum;
            if (args->lse)
                args->lse[h * args->lse_head_stride + i] = sum == 0.0f ? MINUS_INFINITY : carried[0] + log_f32(sum);
        }
    }
    return STATUS_OK;
}
