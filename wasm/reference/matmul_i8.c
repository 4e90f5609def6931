/* The obvious product with codes, by the formulas of operations/matmul_i8.c: every code is computed where it is
 * used. */
#include "../abi.h"
#include "../shared/floats.h"
#include "../shared/quantize.h"

struct grid {
    float scale, per_code, low;
};

static struct grid grid_of(const float *row, int32_t columns) {
    float low = 0.0f, high = 0.0f;
    for (int32_t j = 0; j < columns; j++) {
        if (row[j] - row[j] != 0.0f) return (struct grid){CANONICAL_NAN, 0.0f, 0.0f};
        if (row[j] < low) low = row[j];
        if (row[j] > high) high = row[j];
    }
    float scale = high * (1.0f / 127.0f) - low * (1.0f / 127.0f);
    if (!(scale >= SMALLEST_RANGE)) return (struct grid){0.0f, 0.0f, low};
    return (struct grid){scale, 1.0f / scale, low};
}

/* The code of x. Adding 1.5 * 2^23 rounds to an integer. */
static int32_t code_of(float x, struct grid grid) {
    if (grid.per_code == 0.0f) return 0;
    float code = x * grid.per_code + (12582912.0f - grid.low * grid.per_code) - 12582912.0f;
    return code < 0.0f ? 0 : code > 127.0f ? 127 : (int32_t)code;
}

EXPORT(matmul_i8)
int32_t matmul_i8(void *workspace, const float *a, const int8_t *b, const float *b_scales, const int32_t *b_sums,
                  const float *bias, float *c, int32_t m, int32_t n, int32_t k, int32_t a_row_stride,
                  int32_t c_row_stride, int32_t activation) {
    (void)workspace;
    if (m < 0 || n < 0 || k < 0 || k > MATMUL_I8_MAX_DEPTH) return STATUS_BAD_ARGUMENT;
    if (activation < ACTIVATION_NONE || activation > ACTIVATION_GELU_TANH) return STATUS_BAD_ARGUMENT;
    int32_t depth = (k + 3) / 4 * 4;
    for (int32_t i = 0; i < m; i++) {
        const float *x = a + i * a_row_stride;
        float *row = c + i * c_row_stride;
        struct grid grid = grid_of(x, k);
        int32_t zero = code_of(0.0f, grid);
        for (int32_t j = 0; j < n; j++) {
            const int8_t *column = b + j / 8 * 8 * depth + j % 8 * 4;
            int32_t sum = 0;
            for (int32_t p = 0; p < k; p++) sum += code_of(x[p], grid) * column[p / 4 * 32 + p % 4];
            float scaled = (float)(sum - zero * b_sums[j]) * (grid.scale * b_scales[j]);
            row[j] = canonical_f32(scaled + (bias ? bias[j] : 0.0f));
        }
        if (activation == ACTIVATION_GELU) gelu_f32(row, row, n);
        if (activation == ACTIVATION_GELU_TANH) gelu_tanh_f32(row, row, n);
    }
    return STATUS_OK;
}
