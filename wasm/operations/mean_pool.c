/* out[s] = the mean of rows offsets[s] to offsets[s + 1] - 1 of x, divided by its length if `normalize` is set.
 *
 *   x [rows][columns], offsets [segments + 1], out [segments][columns]
 *
 * The result of a segment without rows is zeros. A mean of length zero stays zero.
 *
 * mean_pool_piece_f32 makes a pass over some rows and columns of a segment that is too long for one call. */
#include "../abi.h"
#include "../shared/row_sums.h"

INLINE void scale_row(float *x, int32_t n, float factor) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        store_f32x4(x + i, canonical_f32x4(mul_f32x4(load_f32x4(x + i), splat_f32x4(factor))));
    }
    for (; i < n; i++) x[i] = canonical_f32(x[i] * factor);
}

INLINE void add_to_row(float *sum, const float *x, int32_t n) {
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) store_f32x4(sum + i, add_f32x4(load_f32x4(sum + i), load_f32x4(x + i)));
    for (; i < n; i++) sum[i] += x[i];
}

EXPORT(mean_pool_f32)
int32_t mean_pool_f32(const float *x, const int32_t *offsets, float *out, int32_t segments, int32_t columns,
                      int32_t normalize) {
    if (segments < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t s = 0; s < segments; s++, out += columns) {
        int32_t begin = offsets[s], end = offsets[s + 1];
        if (end < begin) return STATUS_BAD_ARGUMENT;
        for (int32_t j = 0; j < columns; j++) out[j] = 0.0f;
        for (int32_t r = begin; r < end; r++) add_to_row(out, x + r * columns, columns);
        if (end > begin) scale_row(out, columns, 1.0f / (float)(end - begin));
        if (normalize) {
            float norm = sqrt_f32(sum_row(out, columns, 0.0f, add_square_of_difference));
            if (norm != 0.0f) scale_row(out, columns, 1.0f / norm);
        }
    }
    return STATUS_OK;
}

EXPORT(mean_pool_piece_f32)
int32_t mean_pool_piece_f32(const float *x, float *out, float *state, int32_t rows, int32_t n, int32_t columns,
                            int32_t length, int32_t pass) {
    if (rows < 0 || n < 0 || columns < n || length < 0) return STATUS_BAD_ARGUMENT;
    if (pass == MEAN_POOL_CLEAR) {
        for (int32_t j = 0; j < n; j++) out[j] = 0.0f;
    } else if (pass == MEAN_POOL_ADD) {
        for (int32_t r = 0; r < rows; r++) add_to_row(out, x + r * columns, n);
    } else if (pass == MEAN_POOL_MEAN) {
        scale_row(out, n, 1.0f / (float)length);
        state[0] = canonical_f32(sum_row_from(state[0], out, n, 0.0f, add_square_of_difference));
    } else if (pass == MEAN_POOL_NORMALIZE) {
        float norm = sqrt_f32(state[0]);
        if (norm != 0.0f) scale_row(out, n, 1.0f / norm);
    } else {
        return STATUS_BAD_ARGUMENT;
    }
    return STATUS_OK;
}
