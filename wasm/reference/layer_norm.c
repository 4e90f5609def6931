/* The obvious normalizations: mean and variance of a row, then each element. */
#include "../abi.h"
#include "../shared/floats.h"

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

EXPORT(norm_piece_f32)
int32_t norm_piece_f32(const float *x, const float *weight, const float *bias, float *out, float *state, int32_t n,
                       int32_t columns, float eps, int32_t pass) {
    if (n < 0 || columns < 0 || pass < NORM_SUM || pass > NORM_WRITE_RMS) return STATUS_BAD_ARGUMENT;
    float mean = state[0] / (float)columns;
    float factor = 1.0f / __builtin_sqrtf(state[1] / (float)columns + eps);
    for (int32_t j = 0; j < n; j++) {
        if (pass == NORM_SUM) {
            state[0] = canonical_f32(state[0] + x[j]);
        } else if (pass == NORM_SQUARES) {
            state[1] = canonical_f32(state[1] + (x[j] - mean) * (x[j] - mean));
        } else {
            float y = (x[j] - mean) * factor * (weight ? weight[j] : 1.0f);
            /* RMS norm must not add a bias of zero, because minus zero plus zero is plus zero. */
            if (pass == NORM_WRITE) y += bias ? bias[j] : 0.0f;
            out[j] = canonical_f32(y);
        }
    }
    return STATUS_OK;
}
