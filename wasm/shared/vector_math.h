/* Exponential and hyperbolic tangent of four floats. tools/fit.py prints the polynomials' coefficients. */
#ifndef FLASHWASM_VECTOR_MATH_H
#define FLASHWASM_VECTOR_MATH_H

#include "simd.h"

#define LOG2_E 0x1.715476p+0f
#define LOG2_E_LOW 0x1.4ae0cp-26f /* The difference between log2 e and the float above. */
#define LN_2 0.693147180559945f

/* 2^f for |f| <= 1/2. The polynomial's relative error is 2e-9 before rounding, and 2^0 is exactly 1. */
INLINE f32x4 exp2_fraction_f32x4(f32x4 f) {
    f32x4 p = splat_f32x4(0x1.41fbbcp-13f);
    p = fma_f32x4(p, f, splat_f32x4(0x1.5f3e54p-10f));
    p = fma_f32x4(p, f, splat_f32x4(0x1.3b2d4cp-7f));
    p = fma_f32x4(p, f, splat_f32x4(0x1.c6aee8p-5f));
    p = fma_f32x4(p, f, splat_f32x4(0x1.ebfbdcp-3f));
    p = fma_f32x4(p, f, splat_f32x4(0x1.62e43p-1f));
    return fma_f32x4(p, f, splat_f32x4(1.0f));
}

/* e^x as a fraction f and a power of two: 2^f * power. */
struct exp_parts {
    f32x4 f, power;
};

/* The first part of 2^scale * e^x, for x <= 0 and a constant scale from 0 to 24; NaN gives NaN.
 *
 * Adding 1.5 * 2^23 rounds x log2 e to an integer in the low bits of the mantissa. A shift moves it into the
 * exponent field, which gives a power of two. A result below 2^-127 becomes zero, because its exponent field is
 * zero. A caller that divides by 2^scale afterwards gets accurate results even where they are subnormal. */
INLINE struct exp_parts split_exp_f32x4(f32x4 x, int scale) {
    f32x4 magic = splat_f32x4(12582912.0f + 127.0f + (float)scale);
    f32x4 bounded = pmax_f32x4(x, splat_f32x4((-127.0f - (float)scale) * LN_2));
    f32x4 shifted = fma_f32x4(bounded, splat_f32x4(LOG2_E), magic);
    f32x4 minus_whole = sub_f32x4(magic, shifted);
    f32x4 f = fma_f32x4(bounded, splat_f32x4(LOG2_E), minus_whole);
    f = fma_f32x4(bounded, splat_f32x4(LOG2_E_LOW), f);
    return (struct exp_parts){f, wasm_i32x4_shl(shifted, 23)};
}

/* The second part. */
INLINE f32x4 join_exp_f32x4(f32x4 f, f32x4 power) { return mul_f32x4(exp2_fraction_f32x4(f), power); }

/* Both parts. They depend on each other for some 50 cycles. A processor that can look at only a few dozen instructions
 * ahead then waits. Loops over many vectors therefore make the parts in two passes. */
INLINE f32x4 scaled_exp_f32x4(f32x4 x, int scale) {
    struct exp_parts parts = split_exp_f32x4(x, scale);
    return join_exp_f32x4(parts.f, parts.power);
}

/* e^x for x <= 0; zero if the result would be subnormal. */
INLINE f32x4 exp_f32x4(f32x4 x) { return scaled_exp_f32x4(x, 0); }

/* tanh x = (1 - e^(-2|x|)) / (1 + e^(-2|x|)) with the sign of x. Below 5/8 the subtraction would cancel, so an odd
 * polynomial is used there. */
INLINE f32x4 tanh_f32x4(f32x4 x) {
    f32x4 one = splat_f32x4(1.0f), a = wasm_f32x4_abs(x);
    f32x4 e = exp_f32x4(mul_f32x4(a, splat_f32x4(-2.0f)));
    f32x4 far = div_f32x4(sub_f32x4(one, e), add_f32x4(one, e));
    f32x4 square = mul_f32x4(a, a);
    f32x4 p = splat_f32x4(-0x1.75e1c4p-8f);
    p = fma_f32x4(p, square, splat_f32x4(0x1.52269ap-6f));
    p = fma_f32x4(p, square, splat_f32x4(-0x1.b83c5ap-5f));
    p = fma_f32x4(p, square, splat_f32x4(0x1.110726p-3f));
    p = fma_f32x4(p, square, splat_f32x4(-0x1.555532p-2f));
    f32x4 near = fma_f32x4(mul_f32x4(p, square), a, a);
    f32x4 magnitude = wasm_v128_bitselect(near, far, wasm_f32x4_lt(a, splat_f32x4(0.625f)));
    return wasm_v128_bitselect(x, magnitude, splat_f32x4(-0.0f));
}

#endif
