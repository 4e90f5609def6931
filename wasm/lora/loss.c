/* The loss of one sample, and its gradient with respect to the rows of A and B.
 *
 *   contrastive   -log softmax(z)_0          InfoNCE; candidate 0 is the positive one (van den Oord et al., 2018)
 *   feedback      -log sigmoid(z_0) if the candidate was accepted, else -log sigmoid(-z_0)
 *   regression    |y - c_0|^2 / 2
 *
 * Here y is the adapted x, c_k are the candidates, s_k is the cosine or the dot product of y and c_k, and z_k is
 * (s_k - threshold) / temperature. The cosine is 0 if a squared length is below LORA_ZERO.
 *
 *   gradient of row r of A = sum over adapted rows x of (scale B^T dy)_r x
 *   gradient of row r of B transposed = sum over adapted rows x of scale (A x)_r dy */
#include "loss.h"

#include "../shared/log.h"
#include "../shared/vector_math.h"
#include "apply.h"

static float exp_f32(float x) { return wasm_f32x4_extract_lane(exp_f32x4(splat_f32x4(x)), 0); }

static float inverse_norm(const float *x, int32_t n) {
    float square = lora_dot(x, x, n);
    return square < LORA_ZERO ? 0.0f : 1.0f / __builtin_sqrtf(square);
}

/* Assigns memory to the arrays of a pass: outputs and their gradients are in lora->outputs, the rest in the
 * workspace. */
static void lay_out(struct lora_pass *pass, float *workspace) {
    int32_t rows = pass->rows, rank = pass->lora->rank, candidates = pass->sample->candidates;
    pass->y = pass->lora->outputs;
    pass->dy = pass->y + rows * pass->out;
    pass->h = workspace;
    pass->c = pass->h + rows * rank;
    pass->score = pass->c + rows * rank;
    pass->inverse_norm = pass->score + candidates;
    pass->probability = pass->inverse_norm + candidates + 1;
    pass->slope = pass->probability + candidates + 1;
    pass->gradient = pass->slope + candidates;
}

int32_t lora_compare(struct lora_pass *pass, void *workspace, const struct lora *lora,
                     const struct lora_sample *sample) {
    int32_t in_dim = lora->in_dim, out_dim = lora->out_dim, candidates = sample->candidates;
    if (lora->rank < 1 || lora->rank > LORA_MAX_RANK || candidates < 1 || candidates > LORA_MAX_CANDIDATES) return 0;
    if (in_dim < 1 || in_dim > LORA_MAX_DIM || out_dim < 1 || out_dim > LORA_MAX_DIM) return 0;
    pass->lora = lora;
    pass->sample = sample;
    pass->in = lora_padded(in_dim);
    pass->out = lora_padded(out_dim);
    pass->stride = pass->in > pass->out ? pass->in : pass->out;
    pass->rows = sample->adapted ? 1 + candidates : 1;
    lay_out(pass, workspace);
    for (int32_t i = 0; i < pass->rows; i++) {
        lora_forward(lora, lora_input(pass, i), pass->h + i * lora->rank, pass->y + i * pass->out, pass->in, pass->out);
    }
    if (sample->loss == LORA_REGRESSION) return 1;
    int32_t cosine = sample->metric == METRIC_COSINE;
    float of_y = cosine ? inverse_norm(pass->y, pass->out) : 1.0f;
    pass->inverse_norm[candidates] = of_y;
    for (int32_t k = 0; k < candidates; k++) {
        const float *c = lora_candidate(pass, k);
        pass->inverse_norm[k] = cosine ? inverse_norm(c, pass->out) : 1.0f;
        pass->score[k] = lora_dot(pass->y, c, pass->out) * of_y * pass->inverse_norm[k];
    }
    return 1;
}

static float logit(const struct lora_pass *pass, int32_t k) {
    return (pass->score[k] - pass->sample->threshold) / pass->sample->temperature;
}

static float contrastive_loss(struct lora_pass *pass) {
    int32_t candidates = pass->sample->candidates;
    float max = logit(pass, 0), sum = 0.0f;
    for (int32_t k = 1; k < candidates; k++) {
        float z = logit(pass, k);
        max = z > max ? z : max;
    }
    for (int32_t k = 0; k < candidates; k++) {
        pass->probability[k] = exp_f32(logit(pass, k) - max);
        sum += pass->probability[k];
    }
    for (int32_t k = 0; k < candidates; k++) pass->probability[k] /= sum;
    return log_f32(sum) + (max - logit(pass, 0));
}

static float feedback_loss(struct lora_pass *pass) {
    float z = logit(pass, 0), e = exp_f32(-__builtin_fabsf(z));
    float likely = 1.0f / (1.0f + e), unlikely = e / (1.0f + e);
    pass->probability[0] = z < 0.0f ? unlikely : likely;
    pass->probability[1] = z < 0.0f ? likely : unlikely;
    float against = pass->sample->accepted ? -z : z;
    return log_f32(1.0f + e) + (against < 0.0f ? 0.0f : against);
}

static float regression_loss(struct lora_pass *pass) {
    lora_set_multiple(pass->dy, pass->y, 1.0f, pass->out);
    lora_add_multiple(pass->dy, lora_input(pass, 1), -1.0f, pass->out);
    return 0.5f * lora_dot(pass->dy, pass->dy, pass->out);
}

float lora_loss(struct lora_pass *pass) {
    if (pass->sample->loss == LORA_CONTRASTIVE) return contrastive_loss(pass);
    return pass->sample->loss == LORA_FEEDBACK ? feedback_loss(pass) : regression_loss(pass);
}

/* The label's slope needs 1 - p. It is computed as the sum of the other probabilities, because the subtraction loses
 * precision if p is close to 1. */
void lora_set_slopes(struct lora_pass *pass, int32_t label, float factor) {
    float *slope = pass->slope, others = 0.0f;
    factor /= pass->sample->temperature;
    if (pass->sample->loss == LORA_FEEDBACK) {
        slope[0] = factor * (label == 0 ? -pass->probability[1] : pass->probability[0]);
        return;
    }
    for (int32_t k = 0; k < pass->sample->candidates; k++) {
        if (k == label) continue;
        slope[k] = factor * pass->probability[k];
        others += pass->probability[k];
    }
    slope[label] = -factor * others;
}

/* d cosine(y, c) / dy = (c / |c| - cosine y / |y|) / |y|; for dot the derivative is c. */
void lora_compare_backward(struct lora_pass *pass) {
    int32_t candidates = pass->sample->candidates, n = pass->out, cosine = pass->sample->metric == METRIC_COSINE;
    float of_y = pass->inverse_norm[candidates], along = 0.0f;
    for (int32_t k = 0; k < candidates; k++) {
        float of_c = pass->inverse_norm[k], factor = pass->slope[k] * of_y * of_c;
        float turned = cosine ? pass->slope[k] * pass->score[k] : 0.0f;
        const float *c = lora_candidate(pass, k);
        if (k == 0) {
            lora_set_multiple(pass->dy, c, factor, n);
        } else {
            lora_add_multiple(pass->dy, c, factor, n);
        }
        along += turned;
        if (pass->sample->adapted) {
            lora_set_multiple(pass->dy + (1 + k) * n, pass->y, factor, n);
            lora_add_multiple(pass->dy + (1 + k) * n, c, -turned * of_c * of_c, n);
        }
    }
    lora_add_multiple(pass->dy, pass->y, -along * of_y * of_y, n);
}

void lora_backward(struct lora_pass *pass) {
    const struct lora *lora = pass->lora;
    const float *b = lora->weights + lora->rank * pass->in;
    for (int32_t i = 0; i < pass->rows; i++) {
        for (int32_t r = 0; r < lora->rank; r++) {
            pass->c[i * lora->rank + r] =
                lora->scale * lora_dot(b + r * pass->out, pass->dy + i * pass->out, pass->out);
        }
    }
}

int32_t lora_row_gradient(struct lora_pass *pass, int32_t r, int32_t of_b) {
    int32_t rank = pass->lora->rank, n = of_b ? pass->out : pass->in;
    for (int32_t i = 0; i < pass->rows; i++) {
        float factor = of_b ? pass->lora->scale * pass->h[i * rank + r] : pass->c[i * rank + r];
        const float *x = of_b ? pass->dy + i * n : lora_input(pass, i);
        if (i == 0) {
            lora_set_multiple(pass->gradient, x, factor, n);
        } else {
            lora_add_multiple(pass->gradient, x, factor, n);
        }
    }
    return of_b ? rank * pass->in + r * n : r * n;
}
