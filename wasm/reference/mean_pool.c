/* The obvious mean pooling: one column at a time. */
#include "../abi.h"
#include "../shared/floats.h"

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
