/* The obvious versions of the operations that go row by row or element by element. */
#include "../abi.h"
#include "scalar_math.h"

EXPORT(vecadd_f32)
int32_t vecadd_f32(const float *a, const float *b, float *out, int32_t n) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) out[i] = canonical_f32(a[i] + b[i]);
    return STATUS_OK;
}

EXPORT(softmax_f32)
int32_t softmax_f32(const float *x, float *out, int32_t rows, int32_t columns) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        float max = MINUS_INFINITY, sum = 0.0f;
        for (int32_t j = 0; j < columns; j++) max = x[j] > max ? x[j] : max;
        for (int32_t j = 0; j < columns; j++) {
            out[j] = scaled_exp_f32(x[j] - max, 24);
            sum += out[j];
        }
        for (int32_t j = 0; j < columns; j++) out[j] = canonical_f32(out[j] / sum);
    }
    return STATUS_OK;
}

EXPORT(layer_norm_f32)
int32_t layer_norm_f32(const float *x, const float *weight, const float *bias, float *out, int32_t rows,
                       int32_t columns, float eps) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        float mean = 0.0f, variance = 0.0f;
        for (int32_t j = 0; j < columns; j++) mean += x[j];
        mean /= (float)columns;
        for (int32_t j = 0; j < columns; j++) variance += (x[j] - mean) * (x[j] - mean);
        variance /= (float)columns;
        float factor = 1.0f / __builtin_sqrtf(variance + eps);
        for (int32_t j = 0; j < columns; j++) {
            float y = (x[j] - mean) * factor * (weight ? weight[j] : 1.0f) + (bias ? bias[j] : 0.0f);
            out[j] = canonical_f32(y);
        }
    }
    return STATUS_OK;
}

EXPORT(rms_norm_f32)
int32_t rms_norm_f32(const float *x, const float *weight, float *out, int32_t rows, int32_t columns, float eps) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        float mean_square = 0.0f;
        for (int32_t j = 0; j < columns; j++) mean_square += x[j] * x[j];
        mean_square /= (float)columns;
        float factor = 1.0f / __builtin_sqrtf(mean_square + eps);
        for (int32_t j = 0; j < columns; j++) out[j] = canonical_f32(x[j] * factor * (weight ? weight[j] : 1.0f));
    }
    return STATUS_OK;
}

/* Phi(-a) for a >= 0, times 2^24; see gelu.c. */
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
        float z = 1.5957691216057308f * x[i] * (1.0f + 0.044715f * x[i] * x[i]); /* 2 u; see gelu.c. */
        float e = exp_f32(-__builtin_fabsf(z));
        out[i] = canonical_f32(z < 0 ? x[i] * (e / (1.0f + e)) : x[i] / (1.0f + e));
    }
    return STATUS_OK;
}

EXPORT(embedding_f32)
int32_t embedding_f32(const int32_t *ids, const float *table, float *out, int32_t n, int32_t rows, int32_t columns) {
    if (n < 0 || rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= rows) return STATUS_BAD_INDEX;
    }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < columns; j++) out[i * columns + j] = table[ids[i] * columns + j];
    }
    return STATUS_OK;
}

EXPORT(rotary_embedding_f32)
int32_t rotary_embedding_f32(const float *x, const float *cosines, const float *sines, float *out, int32_t rows,
                             int32_t heads, int32_t dim, int32_t rotary_dim, int32_t interleaved, int32_t row_stride,
                             int32_t head_stride) {
    if (rows < 0 || heads < 0 || rotary_dim < 0 || rotary_dim > dim || rotary_dim % 2) return STATUS_BAD_ARGUMENT;
    int32_t half = rotary_dim / 2;
    for (int32_t r = 0; r < rows * heads; r++) {
        int32_t start = r / heads * row_stride + r % heads * head_stride;
        const float *cosine = cosines + r / heads * half, *sine = sines + r / heads * half;
        for (int32_t i = 0; i < half; i++) {
            int32_t first = start + (interleaved ? 2 * i : i), second = start + (interleaved ? 2 * i + 1 : half + i);
            float a = x[first], b = x[second];
            out[first] = canonical_f32(a * cosine[i] - b * sine[i]);
            out[second] = canonical_f32(a * sine[i] + b * cosine[i]);
        }
        for (int32_t i = rotary_dim; i < dim; i++) out[start + i] = x[start + i];
    }
    return STATUS_OK;
}

EXPORT(mean_pool_f32)
int32_t mean_pool_f32(const float *x, const int32_t *offsets, float *out, int32_t segments, int32_t columns,
                      int32_t normalize) {
    if (segments < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t s = 0; s < segments; s++, out += columns) {
        int32_t begin = offsets[s], end = offsets[s + 1];
        if (end < begin) return STATUS_BAD_ARGUMENT;
        float square = 0.0f;
        for (int32_t j = 0; j < columns; j++) {
            out[j] = 0.0f;
            for (int32_t r = begin; r < end; r++) out[j] += x[r * columns + j];
            if (end > begin) out[j] = canonical_f32(out[j] / (float)(end - begin));
            square += out[j] * out[j];
        }
        if (normalize && square != 0.0f) {
            for (int32_t j = 0; j < columns; j++) out[j] = canonical_f32(out[j] / __builtin_sqrtf(square));
        }
    }
    return STATUS_OK;
}
