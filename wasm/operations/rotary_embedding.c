/* Rotary position embedding (Su et al., "RoFormer", 2021): pairs of elements are rotated by an angle.
 *
 *   (a, b) -> (a cos - b sin, a sin + b cos)
 *
 *   x and out [rows][heads][dim], with any strides for rows and heads; cosines and sines [rows][rotary_dim / 2]
 *
 * Pair i of a head is (x[i], x[i + rotary_dim / 2]), or (x[2 i], x[2 i + 1]) if `interleaved` is set. Elements from
 * rotary_dim on are copied. The output may be the input. */
#include "../abi.h"
#include "../shared/simd.h"

INLINE void rotate_halves(const float *x, const float *cosines, const float *sines, float *out, int32_t half) {
    int32_t i = 0;
    for (; i + 4 <= half; i += 4) {
        f32x4 a = load_f32x4(x + i), b = load_f32x4(x + half + i);
        f32x4 c = load_f32x4(cosines + i), s = load_f32x4(sines + i);
        store_f32x4(out + i, canonical_f32x4(sub_f32x4(mul_f32x4(a, c), mul_f32x4(b, s))));
        store_f32x4(out + half + i, canonical_f32x4(add_f32x4(mul_f32x4(a, s), mul_f32x4(b, c))));
    }
    for (; i < half; i++) {
        float a = x[i], b = x[half + i];
        out[i] = canonical_f32(a * cosines[i] - b * sines[i]);
        out[half + i] = canonical_f32(a * sines[i] + b * cosines[i]);
    }
}

INLINE void rotate_neighbours(const float *x, const float *cosines, const float *sines, float *out, int32_t half) {
    for (int32_t i = 0; i < half; i++) {
        float a = x[2 * i], b = x[2 * i + 1];
        out[2 * i] = canonical_f32(a * cosines[i] - b * sines[i]);
        out[2 * i + 1] = canonical_f32(a * sines[i] + b * cosines[i]);
    }
}

EXPORT(rotary_embedding_f32)
int32_t rotary_embedding_f32(const float *x, const float *cosines, const float *sines, float *out, int32_t rows,
                             int32_t heads, int32_t dim, int32_t rotary_dim, int32_t interleaved, int32_t row_stride,
                             int32_t head_stride) {
    if (rows < 0 || heads < 0 || rotary_dim < 0 || rotary_dim > dim || rotary_dim % 2) return STATUS_BAD_ARGUMENT;
    int32_t half = rotary_dim / 2;
    for (int32_t r = 0; r < rows; r++, cosines += half, sines += half) {
        for (int32_t h = 0; h < heads; h++) {
            const float *from = x + r * row_stride + h * head_stride;
            float *to = out + r * row_stride + h * head_stride;
            if (interleaved) {
                rotate_neighbours(from, cosines, sines, to, half);
            } else {
                rotate_halves(from, cosines, sines, to, half);
            }
            for (int32_t i = rotary_dim; i < dim; i++) to[i] = from[i];
        }
    }
    return STATUS_OK;
}
