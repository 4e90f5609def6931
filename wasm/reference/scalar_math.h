/* Elementary functions of one float for the scalar variant: the formulas and polynomials of shared/vector_math.h. */
#ifndef FLASHWASM_SCALAR_MATH_H
#define FLASHWASM_SCALAR_MATH_H

#include "../shared/floats.h"

/* 2^scale * e^x for x <= 0 and a scale from 0 to 24; zero where that is below 2^-127. */
static inline float scaled_exp_f32(float x, int scale) {
    const float magic = 12582912.0f + 127.0f + (float)scale, log2_e = 0x1.715476p+0f;
    float lowest = (-127.0f - (float)scale) * 0.693147180559945f;
    if (x < lowest) x = lowest;
    union float_bits power = {x * log2_e + magic};
    float f = x * log2_e - (power.f - magic) + x * 0x1.4ae0cp-26f;
    float p = 0x1.41fbbcp-13f;
    p = p * f + 0x1.5f3e54p-10f;
    p = p * f + 0x1.3b2d4cp-7f;
    p = p * f + 0x1.c6aee8p-5f;
    p = p * f + 0x1.ebfbdcp-3f;
    p = p * f + 0x1.62e43p-1f;
    p = p * f + 1.0f;
    power.bits <<= 23;
    return p * power.f;
}

static inline float exp_f32(float x) { return scaled_exp_f32(x, 0); }

static inline float tanh_f32(float x) {
    float a = __builtin_fabsf(x), square = x * x;
    if (a < 0.625f) {
        float p = -0x1.75e1c4p-8f;
        p = p * square + 0x1.52269ap-6f;
        p = p * square - 0x1.b83c5ap-5f;
        p = p * square + 0x1.110726p-3f;
        p = p * square - 0x1.555532p-2f;
        return x + x * square * p;
    }
    float e = exp_f32(-2.0f * a);
    return __builtin_copysignf((1.0f - e) / (1.0f + e), x);
}

#endif
