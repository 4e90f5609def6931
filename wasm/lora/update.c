/* One training step of a low-rank adapter on one sample: changes the weights and returns the loss before the step.
 *
 *   minimized: reward * loss + ewc_lambda / 2 * sum fisher (weights - anchor)^2, whose gradient is g
 *
 *   Adam               first = 0.9 first + 0.1 g, second = 0.999 second + 0.001 g^2
 *                      weights -= shrink weights + step_size first / (sqrt(correction second) + 1e-8)
 *   gradient descent   weights -= shrink weights + step_size g
 *
 * For Adam, step_size is the learning rate divided by 1 - 0.9^t, and correction is 1 / (1 - 0.999^t). Sources: Kingma &
 * Ba, "Adam", 2015; Loshchilov & Hutter, "Decoupled Weight Decay Regularization", 2019, for shrink; Kirkpatrick et al.,
 * "Overcoming catastrophic forgetting in neural networks", 2017, for the penalty (elastic weight consolidation).
 *
 * If the loss or the gradient is not finite, or a square of the gradient could overflow, *loss is NaN and nothing
 * changes. Workspace: the arrays of a lora_pass, except its outputs. */
#include "loss.h"

#define BETA_1 0.9f
#define REST_1 0.1f
#define BETA_2 0.999f
#define REST_2 0.001f
#define EPSILON 1e-8f
#define LARGEST_GRADIENT 1e18f

/* Returns 1 if the squares of the gradient's elements are finite. An element is at most the sum over adapted rows of
 * the length of c or h times the length of x or dy. */
static int32_t is_moderate(const struct lora_pass *pass) {
    int32_t rank = pass->lora->rank;
    float of_a = 0.0f, of_b = 0.0f;
    for (int32_t i = 0; i < pass->rows; i++) {
        const float *x = lora_input(pass, i), *dy = pass->dy + i * pass->out;
        float c = __builtin_sqrtf(lora_dot(pass->c + i * rank, pass->c + i * rank, rank));
        float h = __builtin_sqrtf(lora_dot(pass->h + i * rank, pass->h + i * rank, rank));
        of_a += c * __builtin_sqrtf(lora_dot(x, x, pass->in));
        of_b += h * __builtin_sqrtf(lora_dot(dy, dy, pass->out)) * __builtin_fabsf(pass->lora->scale);
    }
    return of_a < LARGEST_GRADIENT && of_b < LARGEST_GRADIENT;
}

/* Adds the gradient of the penalty for one row of weights. */
static void add_penalty(const struct lora *lora, float *gradient, int32_t at, int32_t n) {
    f32x4 lambda = splat_f32x4(lora->ewc_lambda);
    for (int32_t i = 0; i < n; i += 4) {
        f32x4 away = sub_f32x4(load_f32x4(lora->weights + at + i), load_f32x4(lora->anchor + at + i));
        f32x4 force = mul_f32x4(lambda, load_f32x4(lora->fisher + at + i));
        store_f32x4(gradient + i, fma_f32x4(force, away, load_f32x4(gradient + i)));
    }
}

static void descend(const struct lora *lora, const float *gradient, int32_t at, int32_t n, float step_size) {
    float *weights = lora->weights + at;
    for (int32_t i = 0; i < n; i += 4) {
        f32x4 w = load_f32x4(weights + i), step = mul_f32x4(splat_f32x4(lora->shrink), w);
        step = fma_f32x4(splat_f32x4(step_size), load_f32x4(gradient + i), step);
        store_f32x4(weights + i, canonical_f32x4(sub_f32x4(w, step)));
    }
}

static void descend_by_adam(const struct lora *lora, const float *gradient, int32_t at, int32_t n, float step_size,
                            float correction) {
    float *weights = lora->weights + at, *first = lora->first + at, *second = lora->second + at;
    for (int32_t i = 0; i < n; i += 4) {
        f32x4 g = load_f32x4(gradient + i), w = load_f32x4(weights + i);
        f32x4 m = fma_f32x4(splat_f32x4(BETA_1), load_f32x4(first + i), mul_f32x4(splat_f32x4(REST_1), g));
        f32x4 square = mul_f32x4(mul_f32x4(splat_f32x4(REST_2), g), g);
        f32x4 v = fma_f32x4(splat_f32x4(BETA_2), load_f32x4(second + i), square);
        f32x4 root = wasm_f32x4_sqrt(mul_f32x4(v, splat_f32x4(correction)));
        f32x4 ratio = div_f32x4(m, add_f32x4(root, splat_f32x4(EPSILON)));
        f32x4 step = fma_f32x4(splat_f32x4(step_size), ratio, mul_f32x4(splat_f32x4(lora->shrink), w));
        store_f32x4(first + i, canonical_f32x4(m));
        store_f32x4(second + i, canonical_f32x4(v));
        store_f32x4(weights + i, canonical_f32x4(sub_f32x4(w, step)));
    }
}

EXPORT(lora_update_f32)
int32_t lora_update_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *loss,
                        float step_size, float correction) {
    struct lora_pass pass;
    if (!lora_compare(&pass, workspace, lora, sample)) return STATUS_BAD_ARGUMENT;
    float value = sample->reward * lora_loss(&pass);
    if (sample->loss == LORA_REGRESSION) {
        lora_set_multiple(pass.dy, pass.dy, sample->reward, pass.out);
    } else {
        lora_set_slopes(&pass, sample->loss == LORA_FEEDBACK && !sample->accepted, sample->reward);
        lora_compare_backward(&pass);
    }
    lora_backward(&pass);
    int32_t finite = value - value == 0.0f && is_moderate(&pass);
    *loss = finite ? value : CANONICAL_NAN;
    for (int32_t row = 0; finite && row < 2 * lora->rank; row++) {
        int32_t of_b = row >= lora->rank, n = of_b ? pass.out : pass.in;
        int32_t at = lora_row_gradient(&pass, of_b ? row - lora->rank : row, of_b);
        if (lora->fisher) add_penalty(lora, pass.gradient, at, n);
        if (lora->first) {
            descend_by_adam(lora, pass.gradient, at, n, step_size, correction);
        } else {
            descend(lora, pass.gradient, at, n, step_size);
        }
    }
    return STATUS_OK;
}
