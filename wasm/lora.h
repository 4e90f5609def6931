/* What the kernels of a low-rank adapter share: its layout, and rows of floats combined. */
#ifndef FLASHWASM_LORA_H
#define FLASHWASM_LORA_H

#include "abi.h"
#include "simd.h"

/* What is worked out of one sample. Row 0 is x, row 1 + k is candidate k where candidates are adapted. */
struct lora_pass {
    const struct lora *lora;
    const struct lora_sample *sample;
    int32_t in, out, stride; /* Lengths of rows, multiples of four. */
    int32_t rows;            /* That go through the adapter. */
    float *y, *dy;           /* Their outputs, and the loss's gradient by those. */
    float *h, *c;            /* [rows][rank]: A x, and scale B^T dy. */
    float *score;            /* The metric of y and each candidate. */
    float *inverse_norm;     /* Of each candidate, then of y: 1 for dot, 0 for a zero vector. */
    float *probability;      /* Of each label. */
    float *slope;            /* The loss's derivative by each score. */
    float *gradient;         /* Room for a row. */
};

INLINE int32_t lora_padded(int32_t n) { return (n + 3) & -4; }

INLINE const float *lora_input(const struct lora_pass *pass, int32_t row) {
    return pass->sample->rows + row * pass->stride;
}

/* Candidate k as it is compared: adapted, or as it was given. */
INLINE const float *lora_candidate(const struct lora_pass *pass, int32_t k) {
    return pass->sample->adapted ? pass->y + (1 + k) * pass->out : lora_input(pass, 1 + k);
}

/* a . b, in an order fixed by n alone. */
INLINE float lora_dot(const float *a, const float *b, int32_t n) {
    f32x4 s0 = splat_f32x4(0), s1 = s0, s2 = s0, s3 = s0;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        s0 = fma_f32x4(load_f32x4(a + i), load_f32x4(b + i), s0);
        s1 = fma_f32x4(load_f32x4(a + i + 4), load_f32x4(b + i + 4), s1);
        s2 = fma_f32x4(load_f32x4(a + i + 8), load_f32x4(b + i + 8), s2);
        s3 = fma_f32x4(load_f32x4(a + i + 12), load_f32x4(b + i + 12), s3);
    }
    for (; i + 4 <= n; i += 4) s0 = fma_f32x4(load_f32x4(a + i), load_f32x4(b + i), s0);
    if (i < n) s1 = fma_f32x4(load_tail_f32x4(a + i, n - i, 0), load_tail_f32x4(b + i, n - i, 0), s1);
    return sum_f32x4(add_f32x4(add_f32x4(s0, s1), add_f32x4(s2, s3)));
}

/* y = factor x, n a multiple of four. */
INLINE void lora_set_multiple(float *y, const float *x, float factor, int32_t n) {
    for (int32_t i = 0; i < n; i += 4) store_f32x4(y + i, mul_f32x4(load_f32x4(x + i), splat_f32x4(factor)));
}

/* y += factor x, n a multiple of four. */
INLINE void lora_add_multiple(float *y, const float *x, float factor, int32_t n) {
    for (int32_t i = 0; i < n; i += 4) {
        store_f32x4(y + i, fma_f32x4(load_f32x4(x + i), splat_f32x4(factor), load_f32x4(y + i)));
    }
}

/* h = A x and y = x + scale B h, where x and y have these lengths. */
void lora_forward(const struct lora *lora, const float *x, float *h, float *y, int32_t in, int32_t out);

/* Works out the outputs and the scores of a sample; returns whether it is within the limits. */
int32_t lora_compare(struct lora_pass *pass, void *workspace, const struct lora *lora,
                     const struct lora_sample *sample);
/* Works out the probabilities of the sample's labels and returns its loss, its reward left out. */
float lora_loss(struct lora_pass *pass);
/* Sets the slopes to those of -factor log(probability[label]). */
void lora_set_slopes(struct lora_pass *pass, int32_t label, float factor);
/* Works out dy from the slopes. */
void lora_compare_backward(struct lora_pass *pass);
/* Works out c from dy. */
void lora_backward(struct lora_pass *pass);
/* Writes the gradient of row r of A, or of B transposed, and returns the row's place among the weights. */
int32_t lora_row_gradient(struct lora_pass *pass, int32_t r, int32_t of_b);

#endif
