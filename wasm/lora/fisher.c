/* fisher += weight * reward * the diagonal of one sample's Fisher information; `fisher` is laid out as the weights.
 *
 *   diagonal = sum over labels of probability[label] * (d -log probability[label] / d weights)^2
 *
 * The probabilities are the adapter's own predictions. The labels of a contrastive sample are its candidates; the
 * labels of feedback are "accepted" and "rejected". A regression is treated as a normal distribution with variance
 * 1: the sum is over the squared gradients of the outputs. The squared gradient of the loss is not used, because it
 * vanishes once a sample has been learned (Kunstner, Balles & Hennig, "Limitations of the empirical Fisher
 * approximation", 2019). */
#include "loss.h"

static void add_squares(float *fisher, const float *gradient, int32_t n, float factor) {
    for (int32_t i = 0; i < n; i += 4) {
        f32x4 g = load_f32x4(gradient + i);
        f32x4 square = mul_f32x4(mul_f32x4(splat_f32x4(factor), g), g);
        store_f32x4(fisher + i, canonical_f32x4(add_f32x4(load_f32x4(fisher + i), square)));
    }
}

/* Adds factor times the squared gradient of -log(probability[label]). */
static void add_label(struct lora_pass *pass, float *fisher, int32_t label, float factor) {
    int32_t rank = pass->lora->rank;
    lora_set_slopes(pass, label, 1.0f);
    lora_compare_backward(pass);
    lora_backward(pass);
    for (int32_t row = 0; row < 2 * rank; row++) {
        int32_t of_b = row >= rank, at = lora_row_gradient(pass, of_b ? row - rank : row, of_b);
        add_squares(fisher + at, pass->gradient, of_b ? pass->out : pass->in, factor);
    }
}

/* Adds the squared gradients of all outputs of a regression. The gradient of output o is scale B[o][r] x with respect
 * to row r of A, and scale h[r] with respect to B[o][r]. */
static void add_outputs(struct lora_pass *pass, float *fisher, float factor) {
    const struct lora *lora = pass->lora;
    float *of_b = fisher + lora->rank * pass->in;
    for (int32_t r = 0; r < lora->rank; r++) {
        const float *b = lora->weights + lora->rank * pass->in + r * pass->out;
        float slope = lora->scale * lora->scale * lora_dot(b, b, pass->out), own = lora->scale * pass->h[r];
        add_squares(fisher + r * pass->in, lora_input(pass, 0), pass->in, factor * slope);
        for (int32_t j = 0; j < lora->out_dim; j++) {
            of_b[r * pass->out + j] = canonical_f32(of_b[r * pass->out + j] + factor * own * own);
        }
    }
}

EXPORT(lora_fisher_f32)
int32_t lora_fisher_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *fisher,
                        float weight) {
    struct lora_pass pass;
    if (!lora_compare(&pass, workspace, lora, sample)) return STATUS_BAD_ARGUMENT;
    float factor = weight * sample->reward;
    if (sample->loss == LORA_REGRESSION) {
        add_outputs(&pass, fisher, factor);
        return STATUS_OK;
    }
    lora_loss(&pass);
    int32_t labels = sample->loss == LORA_FEEDBACK ? 2 : sample->candidates;
    for (int32_t label = 0; label < labels; label++) add_label(&pass, fisher, label, factor * pass.probability[label]);
    return STATUS_OK;
}
