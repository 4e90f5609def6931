/* Normalization of each row of x [rows][columns].
 *
 *   layer_norm_f32   out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias
 *   rms_norm_f32     out = x / sqrt(mean(x^2) + eps) * weight
 *
 * weight and bias have one float for each column; null means ones and zeros. The variance divides by the number of
 * columns, without Bessel's correction. The output may be the input. Sources: Ba, Kiros & Hinton, "Layer
 * Normalization", 2016; Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019.
 *
 * Layer norm takes three passes: the mean, the squared differences from it, and the result. Computing the variance
 * from differences keeps it accurate for data whose mean is far from zero.
 *
 * norm_piece_f32 makes one of these passes over a piece of a row that is too long for one call. */
#include "../abi.h"
#include "../shared/row_sums.h"

INLINE f32x4 normalized(f32x4 x, f32x4 mean, f32x4 factor, f32x4 weight, f32x4 bias) {
    return canonical_f32x4(fma_f32x4(mul_f32x4(sub_f32x4(x, mean), factor), weight, bias));
}

INLINE void normalize_row(const float *x, const float *weight, const float *bias, float *out, int32_t n, float mean,
                          float factor) {
    f32x4 means = splat_f32x4(mean), factors = splat_f32x4(factor);
    f32x4 w = splat_f32x4(1.0f), b = splat_f32x4(0.0f);
    int32_t i = 0;
    for (; weight && bias && i + 8 <= n; i += 8) {
        f32x4 x0 = load_f32x4(x + i), x1 = load_f32x4(x + i + 4);
        f32x4 y0 = normalized(x0, means, factors, load_f32x4(weight + i), load_f32x4(bias + i));
        f32x4 y1 = normalized(x1, means, factors, load_f32x4(weight + i + 4), load_f32x4(bias + i + 4));
        store_f32x4(out + i, y0);
        store_f32x4(out + i + 4, y1);
    }
    for (; i + 4 <= n; i += 4) {
        if (weight) w = load_f32x4(weight + i);
        if (bias) b = load_f32x4(bias + i);
        store_f32x4(out + i, normalized(load_f32x4(x + i), means, factors, w, b));
    }
    int32_t left = n - i;
    if (weight) w = load_tail_f32x4(weight + i, left, 1.0f);
    if (bias) b = load_tail_f32x4(bias + i, left, 0.0f);
    store_tail_f32x4(out + i, left, normalized(load_tail_f32x4(x + i, left, 0.0f), means, factors, w, b));
}

EXPORT(layer_norm_f32)
int32_t layer_norm_f32(const float *x, const float *weight, const float *bias, float *out, int32_t rows,
                       int32_t columns, float eps) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        float mean = sum_row(x, columns, 0.0f, add_value) / (float)columns;
        float variance = sum_row(x, columns, mean, add_square_of_difference) / (float)columns;
        normalize_row(x, weight, bias, out, columns, mean, 1.0f / sqrt_f32(variance + eps));
    }
    return STATUS_OK;
}

EXPORT(rms_norm_f32)
int32_t rms_norm_f32(const float *x, const float *weight, float *out, int32_t rows, int32_t columns, float eps) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        float mean_square = sum_row(x, columns, 0.0f, add_square_of_difference) / (float)columns;
        normalize_row(x, weight, 0, out, columns, 0.0f, 1.0f / sqrt_f32(mean_square + eps));
    }
    return STATUS_OK;
}

EXPORT(norm_piece_f32)
int32_t norm_piece_f32(const float *x, const float *weight, const float *bias, float *out, float *state, int32_t n,
                       int32_t columns, float eps, int32_t pass) {
    if (n < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    float mean = state[0] / (float)columns;
    if (pass == NORM_SUM) {
        state[0] = canonical_f32(sum_row_from(state[0], x, n, 0.0f, add_value));
    } else if (pass == NORM_SQUARES) {
        state[1] = canonical_f32(sum_row_from(state[1], x, n, mean, add_square_of_difference));
    } else if (pass == NORM_WRITE || pass == NORM_WRITE_RMS) {
        normalize_row(x, weight, bias, out, n, mean, 1.0f / sqrt_f32(state[1] / (float)columns + eps));
    } else {
        return STATUS_BAD_ARGUMENT;
    }
    return STATUS_OK;
}
