/* The loss of one sample and its gradient, which training and Fisher information share. */
#ifndef FLASHWASM_LORA_LOSS_H
#define FLASHWASM_LORA_LOSS_H

#include "../abi.h"
#include "rows.h"

/* The intermediate results for one sample. Row 0 is x; row 1 + k is candidate k, if candidates are adapted. */
struct lora_pass {
    const struct lora *lora;
    const struct lora_sample *sample;
    int32_t in, out, stride; /* The padded lengths of inputs, of outputs, and the longer of the two. */
    int32_t rows;            /* Rows that are adapted. */
    float *y, *dy;           /* Their outputs, and the gradient of the loss with respect to the outputs: [rows][out]. */
    float *h, *c;            /* A x, and scale B^T dy: [rows][rank]. */
    float *score;            /* The metric of y and each candidate. */
    float *inverse_norm;     /* 1 / length of each candidate, then of y; 1 for dot, 0 for a zero vector. */
    float *probability;      /* The probability of each label. */
    float *slope;            /* The derivative of the loss with respect to each score. */
    float *gradient;         /* Room for one row of a gradient. */
};

INLINE const float *lora_input(const struct lora_pass *pass, int32_t row) {
    return pass->sample->rows + row * pass->stride;
}

/* Returns candidate k for the comparison: its output if candidates are adapted, else its input row. */
INLINE const float *lora_candidate(const struct lora_pass *pass, int32_t k) {
    return pass->sample->adapted ? pass->y + (1 + k) * pass->out : lora_input(pass, 1 + k);
}

/* Fills in a pass up to the scores; returns 0 if the sample is outside the limits. */
int32_t lora_compare(struct lora_pass *pass, void *workspace, const struct lora *lora,
                     const struct lora_sample *sample);
/* Computes the probabilities of the labels and returns the loss, not yet multiplied by the reward. */
float lora_loss(struct lora_pass *pass);
/* Sets the slopes to the derivatives of -factor log(probability[label]). */
void lora_set_slopes(struct lora_pass *pass, int32_t label, float factor);
/* Computes dy from the slopes. */
void lora_compare_backward(struct lora_pass *pass);
/* Computes c from dy. */
void lora_backward(struct lora_pass *pass);
/* Writes the gradient of row r of A, or of B transposed, to pass->gradient; returns the row's index among the
 * weights. */
int32_t lora_row_gradient(struct lora_pass *pass, int32_t r, int32_t of_b);

#endif
