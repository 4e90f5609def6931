/* Normalization of each row of x [rows][columns].
 *
 *   layer_norm_f32   out = (x - mean(x)) / sqrt(var(x) + eps) * weight + bias
 *   rms_norm_f32     out = x / sqrt(mean(x^2) + eps) * weight
 *
 * weight and bias have one float for each column; null means ones and zeros. The variance divides by the number of
 * columns, without Bessel's correction. The output may be the input. Sources: Ba, Kiros & Hinton, "Layer
 * Normalization", 2016; Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019.
 *
 * Layer norm computes the mean, then the squared differences from it, then the result. Computing the variance from
 * differences keeps it accurate for data whose mean is far from zero. A row needs only two passes, because its sum is
 * computed while the previous row is written.
 *
 * norm_piece_f32 makes one of these passes over a piece of a row that is too long for one call. */
#include "../abi.h"
#include "../shared/row_sums.h"

/* Without making NaNs canonical. */
INLINE f32x4 normalized_finite(f32x4 x, f32x4 mean, f32x4 factor, f32x4 weight, f32x4 bias) {
    return fma_f32x4(mul_f32x4(sub_f32x4(x, mean), factor), weight, bias);
}

INLINE f32x4 normalized(f32x4 x, f32x4 mean, f32x4 factor, f32x4 weight, f32x4 bias) {
    return canonical_f32x4(normalized_finite(x, mean, factor, weight, bias));
}

/* Writes the elements from i to n. */
INLINE void normalize_rest(const float *x, const float *weight, const float *bias, float *out, int32_t i, int32_t n,
                           f32x4 means, f32x4 factors) {
    f32x4 w = splat_f32x4(1.0f), b = splat_f32x4(0.0f);
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

INLINE void normalize_row(const float *x, const float *weight, const float *bias, float *out, int32_t n, float mean,
                          float factor) {
    normalize_rest(x, weight, bias, out, 0, n, splat_f32x4(mean), splat_f32x4(factor));
}

/* Returns 1 if a row is not null and all of it is finite: x * 0 is 0 if x is finite, else NaN. */
INLINE int all_finite(const float *x, int32_t n) {
    f32x4 zeros = splat_f32x4(0.0f), none = zeros;
    int32_t i = 0;
    for (; x && i + 4 <= n; i += 4) zeros = fma_f32x4(load_f32x4(x + i), none, zeros);
    if (x) zeros = fma_f32x4(load_tail_f32x4(x + i, n - i, 0.0f), none, zeros);
    return x && sum_f32x4(zeros) == 0.0f;
}

/* Writes four elements of a row whose results cannot be NaN. */
INLINE void normalize_four(const float *x, const float *weight, const float *bias, float *out, f32x4 mean,
                           f32x4 factor) {
    store_f32x4(out, normalized_finite(load_f32x4(x), mean, factor, load_f32x4(weight), load_f32x4(bias)));
}

/* Writes a row whose results cannot be NaN, and returns the sum of the next row, as sum_row does. */
static NOINLINE float normalize_and_sum(const float *x, const float *weight, const float *bias, float *out, int32_t n,
                                        float mean, float factor, const float *next) {
    f32x4 means = splat_f32x4(mean), factors = splat_f32x4(factor), zero = splat_f32x4(0.0f);
    float total = 0.0f;
    for (int32_t start = 0; start < n; start += SUM_PIECE) {
        int32_t end = n - start < SUM_PIECE ? n : start + SUM_PIECE, i = start;
        struct running_sums sums = {0};
        for (; i + 16 <= end; i += 16) {
            add_sixteen(&sums, next + i, zero, add_value);
            for (int32_t j = i; j < i + 16; j += 4) {
                normalize_four(x + j, weight + j, bias + j, out + j, means, factors);
            }
        }
        total += whole_sum(sums, next, i, end, zero, add_value);
        normalize_rest(x, weight, bias, out, i, end, means, factors);
    }
    return total;
}

EXPORT(layer_norm_f32)
int32_t layer_norm_f32(const float *x, const float *weight, const float *bias, float *out, int32_t rows,
                       int32_t columns, float eps) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    float sum = rows > 0 ? sum_row(x, columns, 0.0f, add_value) : 0.0f;
    int finite = all_finite(weight, columns) && all_finite(bias, columns);
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        const float *next = r + 1 < rows ? x + columns : x;
        float mean = sum / (float)columns;
        float variance = sum_row(x, columns, mean, add_square_of_difference) / (float)columns;
        float factor = 1.0f / sqrt_f32(variance + eps);
        /* The variance is finite only if the row is. Then (x - mean) * factor is at most about the root of the number
         * of columns, so no result is NaN, and none needs to be made canonical. */
        if (finite && __builtin_isfinite(variance) && __builtin_isfinite(factor)) {
            sum = normalize_and_sum(x, weight, bias, out, columns, mean, factor, next);
        } else {
            normalize_row(x, weight, bias, out, columns, mean, factor);
            sum = sum_row(next, columns, 0.0f, add_value);
        }
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
