/* The obvious rotary embedding: one pair at a time. */
#include "../abi.h"
#include "../shared/floats.h"

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
