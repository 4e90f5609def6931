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

EXPORT(mean_pool_piece_f32)
int32_t mean_pool_piece_f32(const float *x, float *out, float *state, int32_t rows, int32_t n, int32_t columns,
                            int32_t length, int32_t pass) {
    if (rows < 0 || n < 0 || columns < n || length < 0) return STATUS_BAD_ARGUMENT;
    if (pass < MEAN_POOL_CLEAR || pass > MEAN_POOL_NORMALIZE) return STATUS_BAD_ARGUMENT;
    float square = state[0];
    for (int32_t j = 0; j < n; j++) {
        if (pass == MEAN_POOL_CLEAR) {
            out[j] = 0.0f;
        } else if (pass == MEAN_POOL_ADD) {
            for (int32_t r = 0; r < rows; r++) out[j] += x[r * columns + j];
        } else if (pass == MEAN_POOL_MEAN) {
            out[j] = canonical_f32(out[j] / (float)length);
            state[0] = canonical_f32(state[0] + out[j] * out[j]);
        } else if (square != 0.0f) {
            out[j] = canonical_f32(out[j] / __builtin_sqrtf(square));
        }
    }
    return STATUS_OK;
}
