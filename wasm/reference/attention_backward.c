/* The obvious gradient of attention, by the formulas of attention/backward.c: for each pair of query and key, its
 * weight, the derivative of its score, and its contributions to dq, dk and dv. */
#include "../abi.h"
#include "attention.h"
#include "scalar_math.h"

typedef struct attention_backward_f32_arguments arguments;

static float dot(const float *x, const float *y, int32_t n) {
    float sum = 0.0f;
    for (int32_t c = 0; c < n; c++) sum += x[c] * y[c];
    return sum;
}

/* Returns the derivative of the softcap at the score of key j for query i. */
static float slope(const struct attention_f32_arguments *args, int32_t head, int32_t i, int32_t j) {
    if (args->softcap == 0.0f) return 1.0f;
    struct attention_f32_arguments bare = *args; /* The score before ALiBi and masks. */
    bare.mask_kind = MASK_NONE;
    bare.alibi = 0;
    bare.before = bare.after = ATTENTION_OPEN;
    float tanh = score(&bare, head, i, j) / args->softcap;
    return 1.0f - tanh * tanh;
}

static void visit(const arguments *args, int32_t head, int32_t i, int32_t j, float delta) {
    const struct attention_f32_arguments *forward = &args->forward;
    float lse = forward->lse[head * forward->lse_head_stride + i], s = score(forward, head, i, j);
    if (s == MINUS_INFINITY || lse == MINUS_INFINITY) return;
    int32_t key_head = head / forward->group, dim = forward->dim, value_dim = forward->value_dim;
    const float *q = forward->q + head * forward->q_head_stride + i * forward->q_stride;
    const float *k = (const float *)forward->k + key_head * forward->k_head_stride + j * forward->k_stride;
    const float *v = (const float *)forward->v + key_head * forward->v_head_stride + j * forward->v_stride;
    const float *dout = args->dout + head * args->dout_head_stride + i * args->dout_stride;
    float *dq = args->dq + head * args->dq_head_stride + i * args->dq_stride;
    float *dk = args->dk + key_head * args->dk_head_stride + j * args->dk_stride;
    float *dv = args->dv + key_head * args->dv_head_stride + j * args->dv_stride;
    float p = exp_f32(s > lse ? 0.0f : s - lse), kept = 1.0f, dp = dot(dout, v, value_dim);
    if (forward->dropout) {
        kept = is_dropped(forward, head, i, j) ? 0.0f : forward->kept_scale;
        dp = kept == 0.0f ? 0.0f : dp * kept;
    }
    float ds = p * (dp - delta) * slope(forward, head, i, j) * forward->scale;
    for (int32_t c = 0; c < value_dim; c++) dv[c] = canonical_f32(dv[c] + p * kept * dout[c]);
    for (int32_t d = 0; d < dim; d++) {
        dq[d] = canonical_f32(dq[d] + ds * k[d]);
        dk[d] = canonical_f32(dk[d] + ds * q[d]);
    }
}

EXPORT(attention_backward_f32)
int32_t attention_backward_f32(const arguments *args) {
    const struct attention_f32_arguments *forward = &args->forward;
    int32_t value_dim = forward->value_dim;
    if (forward->dim < 0 || value_dim < 0 || forward->group <= 0) return STATUS_BAD_ARGUMENT;
    if (forward->dim > ATTENTION_MAX_DIM || value_dim > ATTENTION_MAX_DIM) return STATUS_BAD_ARGUMENT;
    for (int32_t h = forward->head_begin; h < forward->head_end; h++) {
        for (int32_t i = forward->query_begin; i < forward->query_end; i++) {
            const float *dout = args->dout + h * args->dout_head_stride + i * args->dout_stride;
            const float *out = forward->out + h * forward->out_head_stride + i * forward->out_stride;
            float delta = dot(dout, out, value_dim);
            for (int32_t j = forward->key_begin; j < forward->key_end; j++) visit(args, h, i, j, delta);
        }
    }
    return STATUS_OK;
}
