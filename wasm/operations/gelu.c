/* Gaussian error linear units of n floats (Hendrycks & Gimpel, "Gaussian Error Linear Units", 2016).
 *
 *   gelu_f32        out = x Phi(x)            Phi is the distribution function of the normal distribution
 *   gelu_tanh_f32   out = x sigmoid(2 u)      u = sqrt(2 / pi) (x + 0.044715 x^3)
 *
 * The output may be the input. Minus infinity gives NaN, because the formula is then -inf * 0. */
#include "../abi.h"
#include "../shared/vector_math.h"

typedef f32x4 (*function_f32x4)(f32x4 x);

/* Phi(-a) = exp(-a^2 / 2) t P(t) with t = 1 / (1 + a / 4). The relative error is 6e-8 on the whole tail, so small
 * results for negative x are as accurate as the others. */
INLINE f32x4 gelu_f32x4(f32x4 x) {
    f32x4 one = splat_f32x4(1.0f), a = wasm_f32x4_abs(x);
    f32x4 bounded = pmin_f32x4(a, splat_f32x4(16.0f)); /* Beyond this, Phi(-a) is smaller than any float. */
    f32x4 t = div_f32x4(one, fma_f32x4(bounded, splat_f32x4(0.25f), one));
    f32x4 p = splat_f32x4(0x1.a573a6p-6f);
    p = fma_f32x4(p, t, splat_f32x4(-0x1.38f3d2p-3f));
    p = fma_f32x4(p, t, splat_f32x4(0x1.2f3a4cp-2f));
    p = fma_f32x4(p, t, splat_f32x4(-0x1.a57128p-3f));
    p = fma_f32x4(p, t, splat_f32x4(0x1.9d332ap-3f));
    p = fma_f32x4(p, t, splat_f32x4(0x1.0dbf28p-5f));
    p = fma_f32x4(p, t, splat_f32x4(0x1.a8f244p-4f));
    p = fma_f32x4(p, t, splat_f32x4(0x1.938666p-4f));
    p = mul_f32x4(fma_f32x4(p, t, splat_f32x4(0x1.98c53ep-4f)), t);
    f32x4 square = mul_f32x4(mul_f32x4(bounded, bounded), splat_f32x4(-0.5f));
    f32x4 tail = mul_f32x4(scaled_exp_f32x4(square, 24), p); /* 2^24 Phi(-a) */
    f32x4 unit = splat_f32x4(0x1p-24f);
    f32x4 negative = mul_f32x4(mul_f32x4(x, tail), unit);
    f32x4 positive = mul_f32x4(x, sub_f32x4(one, mul_f32x4(tail, unit)));
    return wasm_v128_bitselect(negative, positive, wasm_f32x4_lt(x, splat_f32x4(0.0f)));
}

INLINE f32x4 gelu_tanh_f32x4(f32x4 x) {
    f32x4 one = splat_f32x4(1.0f);
    f32x4 inner = fma_f32x4(mul_f32x4(x, x), splat_f32x4(0.044715f), one);
    f32x4 z = mul_f32x4(mul_f32x4(x, splat_f32x4(1.5957691216057308f)), inner); /* 2 u */
    f32x4 e = exp_f32x4(wasm_f32x4_neg(wasm_f32x4_abs(z)));
    f32x4 sigmoid_of_abs = div_f32x4(one, add_f32x4(one, e));
    f32x4 below = wasm_f32x4_lt(z, splat_f32x4(0.0f));
    f32x4 negative = mul_f32x4(x, mul_f32x4(e, sigmoid_of_abs));
    return wasm_v128_bitselect(negative, mul_f32x4(x, sigmoid_of_abs), below);
}

INLINE int32_t apply_to_all(const float *x, float *out, int32_t n, function_f32x4 f) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) store_f32x4(out + i, canonical_f32x4(f(load_f32x4(x + i))));
    store_tail_f32x4(out + i, n - i, canonical_f32x4(f(load_tail_f32x4(x + i, n - i, 0.0f))));
    return STATUS_OK;
}

EXPORT(gelu_f32)
int32_t gelu_f32(const float *x, float *out, int32_t n) { return apply_to_all(x, out, n, gelu_f32x4); }

EXPORT(gelu_tanh_f32)
int32_t gelu_tanh_f32(const float *x, float *out, int32_t n) { return apply_to_all(x, out, n, gelu_tanh_f32x4); }
