/* The obvious softmax: the greatest element, the exponentials and their sum, the quotients. */
#include "../abi.h"
#include "scalar_math.h"

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

EXPORT(softmax_piece_f32)
int32_t softmax_piece_f32(const float *x, float *out, float *state, int32_t n, int32_t pass) {
    if (n < 0 || pass < SOFTMAX_MAX || pass > SOFTMAX_DIVIDE) return STATUS_BAD_ARGUMENT;
    for (int32_t j = 0; j < n; j++) {
        if (pass == SOFTMAX_MAX) {
            state[0] = x[j] > state[0] ? x[j] : state[0];
        } else if (pass == SOFTMAX_EXPONENTIALS) {
            out[j] = scaled_exp_f32(x[j] - state[0], 24);
            state[1] = canonical_f32(state[1] + out[j]);
        } else {
            out[j] = canonical_f32(out[j] / state[1]);
        }
    }
    return STATUS_OK;
}
