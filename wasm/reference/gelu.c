/* The obvious GELU, by the formulas and polynomials of operations/gelu.c. */
#include "../abi.h"
#include "scalar_math.h"

/* 2^24 Phi(-a) for a >= 0 */
static float scaled_tail(float a) {
    static const float coefficients[] = {0x1.98c53ep-4f, 0x1.938666p-4f,  0x1.a8f244p-4f,
                                         0x1.0dbf28p-5f, 0x1.9d332ap-3f,  -0x1.a57128p-3f,
                                         0x1.2f3a4cp-2f, -0x1.38f3d2p-3f, 0x1.a573a6p-6f};
    if (a > 16.0f) a = 16.0f;
    float t = 1.0f / (1.0f + 0.25f * a), p = 0.0f;
    for (int i = 8; i >= 0; i--) p = p * t + coefficients[i];
    return scaled_exp_f32(-0.5f * a * a, 24) * p * t;
}

EXPORT(gelu_f32)
int32_t gelu_f32(const float *x, float *out, int32_t n) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        float tail = scaled_tail(__builtin_fabsf(x[i]));
        out[i] = canonical_f32(x[i] < 0 ? x[i] * tail * 0x1p-24f : x[i] * (1.0f - tail * 0x1p-24f));
    }
    return STATUS_OK;
}

EXPORT(gelu_tanh_f32)
int32_t gelu_tanh_f32(const float *x, float *out, int32_t n) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        float z = 1.5957691216057308f * x[i] * (1.0f + 0.044715f * x[i] * x[i]); /* 2 u */
        float e = exp_f32(-__builtin_fabsf(z));
        out[i] = canonical_f32(z < 0 ? x[i] * (e / (1.0f + e)) : x[i] / (1.0f + e));
    }
    return STATUS_OK;
}
