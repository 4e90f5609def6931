/* The obvious low-rank adapter, one element at a time: its output, a step of training, and its Fisher information.
 * The formulas are the same as in lora/. */
#include "../abi.h"
#include "../shared/log.h"
#include "scalar_math.h"

static int32_t padded(int32_t n) { return (n + 3) / 4 * 4; }

static float a_of(const struct lora *l, int32_t r, int32_t j) { return l->weights[r * padded(l->in_dim) + j]; }
static int32_t b_at(const struct lora *l, int32_t r, int32_t o) {
    return l->rank * padded(l->in_dim) + r * padded(l->out_dim) + o;
}

static int32_t within_limits(const struct lora *l) {
    return l->rank >= 1 && l->rank <= LORA_MAX_RANK && l->in_dim >= 1 && l->in_dim <= LORA_MAX_DIM && l->out_dim >= 1 &&
           l->out_dim <= LORA_MAX_DIM;
}

static void forward(const struct lora *l, const float *x, float *h, float *y) {
    for (int32_t r = 0; r < l->rank; r++) {
        h[r] = 0.0f;
        for (int32_t j = 0; j < l->in_dim; j++) h[r] += a_of(l, r, j) * x[j];
    }
    for (int32_t o = 0; o < l->out_dim; o++) {
        float sum = l->in_dim == l->out_dim ? x[o] : 0.0f;
        for (int32_t r = 0; r < l->rank; r++) sum += l->scale * h[r] * l->weights[b_at(l, r, o)];
        y[o] = canonical_f32(sum);
    }
}

EXPORT(lora_apply_f32)
int32_t lora_apply_f32(const struct lora *lora, const float *x, float *out, int32_t rows) {
    if (rows < 0 || !within_limits(lora)) return STATUS_BAD_ARGUMENT;
    float h[LORA_MAX_RANK];
    for (int32_t i = 0; i < rows; i++) forward(lora, x + i * lora->in_dim, h, out + i * lora->out_dim);
    return STATUS_OK;
}

static float dot(const float *a, const float *b, int32_t n) {
    float sum = 0.0f;
    for (int32_t i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

/* The intermediate results for one sample; struct lora_pass of lora/loss.h describes the arrays. Rows of inputs are
 * `stride` floats apart, rows of outputs `out` floats; row 1 + k belongs to candidate k. */
struct pass {
    const struct lora *lora;
    const struct lora_sample *sample;
    int32_t rows, stride, out;
    float *y, *dy, *h, *c, *score, *inverse_norm, *probability, *slope;
};

static const float *input(const struct pass *p, int32_t row) { return p->sample->rows + row * p->stride; }

static const float *candidate(const struct pass *p, int32_t k) {
    return p->sample->adapted ? p->y + (1 + k) * p->out : input(p, 1 + k);
}

static float inverse_norm(const struct pass *p, const float *x) {
    if (p->sample->metric != METRIC_COSINE) return 1.0f;
    float square = dot(x, x, p->lora->out_dim);
    return square < LORA_ZERO ? 0.0f : 1.0f / __builtin_sqrtf(square);
}

static int32_t begin(struct pass *p, float *workspace, const struct lora *l, const struct lora_sample *sample) {
    int32_t count = sample->candidates, in = padded(l->in_dim), out = padded(l->out_dim);
    if (!within_limits(l) || count < 1 || count > LORA_MAX_CANDIDATES) return 0;
    *p = (struct pass){.lora = l, .sample = sample, .rows = sample->adapted ? 1 + count : 1, .out = out};
    p->stride = in > out ? in : out;
    p->y = l->outputs;
    p->dy = p->y + p->rows * out;
    p->h = workspace;
    p->c = p->h + p->rows * l->rank;
    p->score = p->c + p->rows * l->rank;
    p->inverse_norm = p->score + count;
    p->probability = p->inverse_norm + count + 1;
    p->slope = p->probability + count + 1;
    for (int32_t i = 0; i < p->rows; i++) forward(l, input(p, i), p->h + i * l->rank, p->y + i * out);
    p->inverse_norm[count] = inverse_norm(p, p->y);
    for (int32_t k = 0; k < count; k++) {
        p->inverse_norm[k] = inverse_norm(p, candidate(p, k));
        p->score[k] = dot(p->y, candidate(p, k), l->out_dim) * p->inverse_norm[count] * p->inverse_norm[k];
    }
    return 1;
}

static float logit(const struct pass *p, int32_t k) {
    return (p->score[k] - p->sample->threshold) / p->sample->temperature;
}

/* Returns the loss and sets the probability of each label. */
static float loss_of(struct pass *p) {
    int32_t count = p->sample->candidates;
    float z = logit(p, 0), sum = 0.0f, max = z;
    if (p->sample->loss == LORA_REGRESSION) {
        for (int32_t o = 0; o < p->lora->out_dim; o++) sum += (p->y[o] - input(p, 1)[o]) * (p->y[o] - input(p, 1)[o]);
        return 0.5f * sum;
    }
    if (p->sample->loss == LORA_FEEDBACK) {
        float e = exp_f32(-__builtin_fabsf(z)), against = p->sample->accepted ? -z : z;
        p->probability[0] = (z < 0.0f ? e : 1.0f) / (1.0f + e);
        p->probability[1] = (z < 0.0f ? 1.0f : e) / (1.0f + e);
        return log_f32(1.0f + e) + (against < 0.0f ? 0.0f : against);
    }
    for (int32_t k = 0; k < count; k++) max = logit(p, k) > max ? logit(p, k) : max;
    for (int32_t k = 0; k < count; k++) sum += p->probability[k] = exp_f32(logit(p, k) - max);
    for (int32_t k = 0; k < count; k++) p->probability[k] /= sum;
    return log_f32(sum) + (max - z);
}

/* Sets the slopes: the derivatives of -factor log(probability[label]) with respect to the scores. */
static void set_slopes(struct pass *p, int32_t label, float factor) {
    float others = 0.0f, scaled = factor / p->sample->temperature;
    if (p->sample->loss == LORA_FEEDBACK) {
        p->slope[0] = scaled * (label == 0 ? -p->probability[1] : p->probability[0]);
        return;
    }
    for (int32_t k = 0; k < p->sample->candidates; k++) {
        p->slope[k] = scaled * p->probability[k];
        if (k != label) others += p->probability[k];
    }
    p->slope[label] = -scaled * others;
}

/* The derivative of score k with respect to element o of `row`, whose inverse norm is `own`. The score compares that
 * row with `other`. */
static float score_slope(const struct pass *p, int32_t k, const float *row, float own, const float *other,
                         float of_other, int32_t o) {
    float along = p->sample->metric == METRIC_COSINE ? p->score[k] * row[o] * own : 0.0f;
    return (other[o] * of_other - along) * own;
}

/* Computes dy from the slopes, or for a regression from its target; then c = scale B^T dy. */
static void backward(struct pass *p, float reward) {
    int32_t count = p->sample->candidates, rank = p->lora->rank;
    float of_y = p->inverse_norm[count];
    for (int32_t o = 0; o < p->lora->out_dim; o++) {
        p->dy[o] = p->sample->loss == LORA_REGRESSION ? reward * (p->y[o] - input(p, 1)[o]) : 0.0f;
        for (int32_t k = 0; k < count && p->sample->loss != LORA_REGRESSION; k++) {
            const float *c = candidate(p, k);
            p->dy[o] += p->slope[k] * score_slope(p, k, p->y, of_y, c, p->inverse_norm[k], o);
            if (!p->sample->adapted) continue;
            p->dy[(1 + k) * p->out + o] = p->slope[k] * score_slope(p, k, c, p->inverse_norm[k], p->y, of_y, o);
        }
    }
    for (int32_t i = 0; i < p->rows * rank; i++) {
        float sum = 0.0f;
        for (int32_t o = 0; o < p->lora->out_dim; o++) {
            sum += p->lora->weights[b_at(p->lora, i % rank, o)] * p->dy[i / rank * p->out + o];
        }
        p->c[i] = p->lora->scale * sum;
    }
}

/* The gradient with respect to the weight in column j of row r of A, or of B transposed. */
static float gradient(const struct pass *p, int32_t r, int32_t of_b, int32_t j) {
    float sum = 0.0f;
    for (int32_t i = 0; i < p->rows; i++) {
        float h = p->h[i * p->lora->rank + r], c = p->c[i * p->lora->rank + r];
        sum += of_b ? p->lora->scale * h * p->dy[i * p->out + j] : c * input(p, i)[j];
    }
    return sum;
}

/* Returns 1 if the squares of the gradient's elements are finite, according to a bound of the elements. */
static int32_t is_moderate(const struct pass *p) {
    int32_t rank = p->lora->rank;
    float of_a = 0.0f, of_b = 0.0f;
    for (int32_t i = 0; i < p->rows; i++) {
        const float *x = input(p, i), *dy = p->dy + i * p->out, *c = p->c + i * rank, *h = p->h + i * rank;
        of_a += __builtin_sqrtf(dot(c, c, rank)) * __builtin_sqrtf(dot(x, x, p->lora->in_dim));
        of_b += __builtin_sqrtf(dot(h, h, rank)) * __builtin_sqrtf(dot(dy, dy, p->lora->out_dim)) *
                __builtin_fabsf(p->lora->scale);
    }
    return of_a < 1e18f && of_b < 1e18f;
}

static void step(const struct lora *l, int32_t at, float g, float step_size, float correction) {
    float w = l->weights[at], change = step_size * g;
    if (l->fisher) change = step_size * (g += l->ewc_lambda * l->fisher[at] * (w - l->anchor[at]));
    if (l->first) {
        l->first[at] = canonical_f32(0.9f * l->first[at] + 0.1f * g);
        l->second[at] = canonical_f32(0.999f * l->second[at] + 0.001f * g * g);
        change = step_size * l->first[at] / (__builtin_sqrtf(l->second[at] * correction) + 1e-8f);
    }
    l->weights[at] = canonical_f32(w - (l->shrink * w + change));
}

EXPORT(lora_update_f32)
int32_t lora_update_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *loss,
                        float step_size, float correction) {
    struct pass p;
    if (!begin(&p, workspace, lora, sample)) return STATUS_BAD_ARGUMENT;
    float value = sample->reward * loss_of(&p);
    set_slopes(&p, sample->loss == LORA_FEEDBACK && !sample->accepted, sample->reward);
    backward(&p, sample->reward);
    int32_t finite = value - value == 0.0f && is_moderate(&p);
    *loss = finite ? value : CANONICAL_NAN;
    for (int32_t r = 0; finite && r < lora->rank; r++) {
        for (int32_t j = 0; j < lora->in_dim; j++) {
            step(lora, r * padded(lora->in_dim) + j, gradient(&p, r, 0, j), step_size, correction);
        }
        for (int32_t j = 0; j < lora->out_dim; j++) {
            step(lora, b_at(lora, r, j), gradient(&p, r, 1, j), step_size, correction);
        }
    }
    return STATUS_OK;
}

EXPORT(lora_fisher_f32)
int32_t lora_fisher_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *fisher,
                        float weight) {
    struct pass p;
    if (!begin(&p, workspace, lora, sample)) return STATUS_BAD_ARGUMENT;
    int32_t regression = sample->loss == LORA_REGRESSION, in = padded(lora->in_dim);
    int32_t labels = regression ? lora->out_dim : sample->loss == LORA_FEEDBACK ? 2 : sample->candidates;
    loss_of(&p);
    for (int32_t label = 0; label < labels; label++) {
        float factor = weight * sample->reward;
        if (regression) {
            /* For a regression a label is an output, whose gradient with respect to itself is 1. */
            for (int32_t o = 0; o < lora->out_dim; o++) p.dy[o] = o == label ? 1.0f : 0.0f;
            for (int32_t r = 0; r < lora->rank; r++) p.c[r] = lora->scale * lora->weights[b_at(lora, r, label)];
        } else {
            factor *= p.probability[label];
            set_slopes(&p, label, 1.0f);
            backward(&p, 1.0f);
        }
        for (int32_t r = 0; r < lora->rank; r++) {
            for (int32_t j = 0; j < lora->in_dim; j++) {
                float g = gradient(&p, r, 0, j), sum = fisher[r * in + j] + factor * g * g;
                fisher[r * in + j] = canonical_f32(sum);
            }
            for (int32_t j = 0; j < lora->out_dim; j++) {
                float g = gradient(&p, r, 1, j);
                fisher[b_at(lora, r, j)] = canonical_f32(fisher[b_at(lora, r, j)] + factor * g * g);
            }
        }
    }
    return STATUS_OK;
}
