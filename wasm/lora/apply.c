/* out = x + scale B A x for each row of x (Hu et al., "LoRA", 2021), or scale B A x if in_dim != out_dim.
 *
 *   x [rows][in_dim], out [rows][out_dim], A [rank][in_dim], B [out_dim][rank]; abi.h describes the layout of A and B
 *
 * If the dimensions are equal, the output may be the input, because A x is complete before any element of a row is
 * written. An element of the output is one chain of multiply-adds over the ranks, which starts from x. */
#include "apply.h"

#include "rows.h"

/* h[4] = four rows of A . x. x is read once for the four rows; each row has two running sums. */
static void multiply_four(const float *a, int32_t stride, const float *x, int32_t n, float *h) {
    const float *a0 = a, *a1 = a + stride, *a2 = a1 + stride, *a3 = a2 + stride;
    f32x4 s0 = splat_f32x4(0), s1 = s0, s2 = s0, s3 = s0, t0 = s0, t1 = s0, t2 = s0, t3 = s0;
    int32_t i = 0;
    for (; i + 8 <= n; i += 8) {
        f32x4 low = load_f32x4(x + i), high = load_f32x4(x + i + 4);
        s0 = fma_f32x4(load_f32x4(a0 + i), low, s0);
        s1 = fma_f32x4(load_f32x4(a1 + i), low, s1);
        s2 = fma_f32x4(load_f32x4(a2 + i), low, s2);
        s3 = fma_f32x4(load_f32x4(a3 + i), low, s3);
        t0 = fma_f32x4(load_f32x4(a0 + i + 4), high, t0);
        t1 = fma_f32x4(load_f32x4(a1 + i + 4), high, t1);
        t2 = fma_f32x4(load_f32x4(a2 + i + 4), high, t2);
        t3 = fma_f32x4(load_f32x4(a3 + i + 4), high, t3);
    }
    /* Rows of A are padded with zeros to a multiple of four. */
    for (; i < n; i += 4) {
        f32x4 few = n - i < 4 ? load_tail_f32x4(x + i, n - i, 0.0f) : load_f32x4(x + i);
        s0 = fma_f32x4(load_f32x4(a0 + i), few, s0);
        s1 = fma_f32x4(load_f32x4(a1 + i), few, s1);
        s2 = fma_f32x4(load_f32x4(a2 + i), few, s2);
        s3 = fma_f32x4(load_f32x4(a3 + i), few, s3);
    }
    s0 = add_f32x4(s0, t0);
    s1 = add_f32x4(s1, t1);
    s2 = add_f32x4(s2, t2);
    s3 = add_f32x4(s3, t3);
    transpose_f32x4(&s0, &s1, &s2, &s3);
    store_f32x4(h, add_f32x4(add_f32x4(s0, s2), add_f32x4(s1, s3)));
}

/* y[16] = x + sum over ranks of weight * row of B transposed. Each weight is read once for the four vectors. */
static void add_products(const struct lora *lora, const float *b, int32_t stride, const float *weight, const float *x,
                         float *y) {
    f32x4 y0 = splat_f32x4(0), y1 = y0, y2 = y0, y3 = y0;
    if (x) {
        y0 = load_f32x4(x);
        y1 = load_f32x4(x + 4);
        y2 = load_f32x4(x + 8);
        y3 = load_f32x4(x + 12);
    }
    for (int32_t r = 0; r < lora->rank; r++, b += stride) {
        f32x4 factor = splat_f32x4(weight[r]);
        y0 = fma_f32x4(factor, load_f32x4(b), y0);
        y1 = fma_f32x4(factor, load_f32x4(b + 4), y1);
        y2 = fma_f32x4(factor, load_f32x4(b + 8), y2);
        y3 = fma_f32x4(factor, load_f32x4(b + 12), y3);
    }
    store_f32x4(y, canonical_f32x4(y0));
    store_f32x4(y + 4, canonical_f32x4(y1));
    store_f32x4(y + 8, canonical_f32x4(y2));
    store_f32x4(y + 12, canonical_f32x4(y3));
}

/* The same for at most four elements of y. Rows of B transposed are padded with zeros to a multiple of four. */
static void add_few_products(const struct lora *lora, const float *b, int32_t stride, const float *weight,
                             const float *x, float *y, int32_t n) {
    f32x4 sum = splat_f32x4(0);
    if (x) sum = n < 4 ? load_tail_f32x4(x, n, 0.0f) : load_f32x4(x);
    for (int32_t r = 0; r < lora->rank; r++, b += stride) {
        sum = fma_f32x4(splat_f32x4(weight[r]), load_f32x4(b), sum);
    }
    if (n < 4) {
        store_tail_f32x4(y, n, canonical_f32x4(sum));
    } else {
        store_f32x4(y, canonical_f32x4(sum));
    }
}

void lora_forward(const struct lora *lora, const float *x, float *h, float *y, int32_t in, int32_t out) {
    int32_t a_stride = lora_padded(lora->in_dim), b_stride = lora_padded(lora->out_dim), r = 0, j = 0;
    const float *a = lora->weights, *b = a + lora->rank * a_stride;
    const float *residual = lora->in_dim == lora->out_dim ? x : 0;
    float weight[LORA_MAX_RANK];
    for (; r + 4 <= lora->rank; r += 4) multiply_four(a + r * a_stride, a_stride, x, in, h + r);
    for (; r < lora->rank; r++) h[r] = lora_dot(a + r * a_stride, x, in);
    for (r = 0; r < lora->rank; r++) weight[r] = lora->scale * h[r];
    for (; j + 16 <= out; j += 16) add_products(lora, b + j, b_stride, weight, residual ? residual + j : 0, y + j);
    for (; j < out; j += 4) {
        int32_t n = out - j < 4 ? out - j : 4;
        add_few_products(lora, b + j, b_stride, weight, residual ? residual + j : 0, y + j, n);
    }
}

EXPORT(lora_apply_f32)
int32_t lora_apply_f32(const struct lora *lora, const float *x, float *out, int32_t rows) {
    int32_t in_dim = lora->in_dim, out_dim = lora->out_dim;
    if (rows < 0 || lora->rank < 1 || lora->rank > LORA_MAX_RANK) return STATUS_BAD_ARGUMENT;
    if (in_dim < 1 || in_dim > LORA_MAX_DIM || out_dim < 1 || out_dim > LORA_MAX_DIM) return STATUS_BAD_ARGUMENT;
    float h[LORA_MAX_RANK];
    for (int32_t i = 0; i < rows; i++) lora_forward(lora, x + i * in_dim, h, out + i * out_dim, in_dim, out_dim);
    return STATUS_OK;
}
