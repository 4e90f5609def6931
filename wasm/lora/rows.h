/* Rows of floats for the kernels of a low-rank adapter, padded with zeros. */
#ifndef FLASHWASM_LORA_ROWS_H
#define FLASHWASM_LORA_ROWS_H

#include "../shared/simd.h"

/* The length of a row as it is stored: a multiple of four. */
INLINE int32_t lora_padded(int32_t n) { return (n + 3) & -4; }

/* a . b. The order of additions depends only on n. */
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

/* y = factor x, for a multiple of four floats. */
INLINE void lora_set_multiple(float *y, const float *x, float factor, int32_t n) {
    for (int32_t i = 0; i < n; i += 4) store_f32x4(y + i, mul_f32x4(load_f32x4(x + i), splat_f32x4(factor)));
}

/* y += factor x, for a multiple of four floats. */
INLINE void lora_add_multiple(float *y, const float *x, float factor, int32_t n) {
    for (int32_t i = 0; i < n; i += 4) {
        store_f32x4(y + i, fma_f32x4(load_f32x4(x + i), splat_f32x4(factor), load_f32x4(y + i)));
    }
}

#endif
