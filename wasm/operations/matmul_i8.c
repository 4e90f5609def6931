/* C[m][n] = A[m][k] B[k][n] + bias[n], then GELU, where B has codes of eight bits and A gets codes of seven bits
 *
 *   A[i][p] = s[i] (a[i][p] - z[i])   codes a from 0 to 127, computed here; a scale s and a zero point z for each row
 *   B[p][j] = t[j] b[p][j]            codes b from -127 to 127; a scale t for each column
 *   C[i][j] = (s[i] t[j]) (sum over p of a[i][p] b[p][j] - z[i] B_sums[j]) + bias[j]
 *
 * The sum is a sum of integers, and exact. The three roundings of floats after it are the same in all variants, and so
 * are the bits of C, unless GELU follows. GELU has the same bits as gelu_f32 or gelu_tanh_f32. A row of A that contains
 * NaN or infinity gives a row of NaN.
 *
 * B is stored in panels of eight columns, [n / 8][k / 4][8 columns][4 rows], padded with zeros; B_sums[j] is the sum of
 * column j of its codes. The scales and sums are padded with zeros to a multiple of eight columns. The output must not
 * overlap an input. Each block of rows of A is quantised once, and then multiplied by all panels of B. This is the
 * scheme of Jacob et al., "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
 * Inference", 2018, with a zero point on one side only.
 *
 * Workspace: the codes of a block of A, and the scale and zero point of each of its rows.
 */
#include "../abi.h"
#include "../shared/quantize.h"
#include "../shared/simd.h"

enum { COLUMNS = 8, ROW_BLOCK = 128, CODE_BYTES = 1 << 18 };

_Static_assert(CODE_ROWS *MATMUL_I8_MAX_DEPTH <= CODE_BYTES, "four rows of the greatest depth fit the codes' block");
_Static_assert(CODE_BYTES + ROW_BLOCK * sizeof(struct quantized_row) <= WORKSPACE_BYTES,
               "the workspace is large enough");

struct sums {
    v128_t low[CODE_ROWS], high[CODE_ROWS];
};

/* The sums of a tile of four rows by eight columns, over `steps` steps of four codes each. */
INLINE struct sums sum_tile(const int8_t *a, const int8_t *b, int32_t steps) {
    struct sums t = {{wasm_i32x4_const_splat(0)}, {wasm_i32x4_const_splat(0)}};
    for (; steps > 0; steps--) {
        v128_t rows = wasm_v128_load(a), low = wasm_v128_load(b), high = wasm_v128_load(b + 16);
        v128_t a0 = splat_lane_f32x4(rows, 0), a1 = splat_lane_f32x4(rows, 1);
        v128_t a2 = splat_lane_f32x4(rows, 2), a3 = splat_lane_f32x4(rows, 3);
        t.low[0] = add_products_i8x16(low, a0, t.low[0]);
        t.high[0] = add_products_i8x16(high, a0, t.high[0]);
        t.low[1] = add_products_i8x16(low, a1, t.low[1]);
        t.high[1] = add_products_i8x16(high, a1, t.high[1]);
        t.low[2] = add_products_i8x16(low, a2, t.low[2]);
        t.high[2] = add_products_i8x16(high, a2, t.high[2]);
        t.low[3] = add_products_i8x16(low, a3, t.low[3]);
        t.high[3] = add_products_i8x16(high, a3, t.high[3]);
        a += CODE_ROWS * CODE_DEPTH;
        b += COLUMNS * CODE_DEPTH;
    }
    return t;
}

INLINE f32x4 result(v128_t sum, struct quantized_row row, v128_t column_sums, f32x4 scales, f32x4 bias) {
    v128_t exact = wasm_i32x4_sub(sum, wasm_i32x4_mul(wasm_i32x4_splat(row.zero), column_sums));
    f32x4 scale = mul_f32x4(splat_f32x4(row.scale), scales);
    return canonical_f32x4(add_f32x4(mul_f32x4(wasm_f32x4_convert_i32x4(exact), scale), bias));
}

/* C[rows <= 4][columns <= 8] of one panel of A and one of B. */
static NOINLINE void multiply_tile_i8(float *c, int32_t c_stride, int32_t rows, int32_t columns, const int8_t *a,
                                      const struct quantized_row *quantized, const int8_t *b, const float *scales,
                                      const int32_t *sums, const float *bias, int32_t steps) {
    struct sums t = sum_tile(a, b, steps);
    f32x4 none = splat_f32x4(0.0f);
    f32x4 low_bias = bias ? load_at_most_f32x4(bias, columns) : none;
    f32x4 high_bias = bias && columns > 4 ? load_at_most_f32x4(bias + 4, columns - 4) : none;
    for (int32_t r = 0; r < CODE_ROWS; r++) {
        if (r >= rows) break;
        f32x4 low = result(t.low[r], quantized[r], wasm_v128_load(sums), load_f32x4(scales), low_bias);
        f32x4 high = result(t.high[r], quantized[r], wasm_v128_load(sums + 4), load_f32x4(scales + 4), high_bias);
        store_at_most_f32x4(c + r * c_stride, columns, low);
        if (columns > 4) store_at_most_f32x4(c + r * c_stride + 4, columns - 4, high);
    }
}

static void activate(float *c, int32_t c_stride, int32_t rows, int32_t n, int32_t activation) {
    for (int32_t r = 0; r < rows; r++) {
        float *row = c + r * c_stride;
        if (activation == ACTIVATION_GELU) gelu_f32(row, row, n);
        if (activation == ACTIVATION_GELU_TANH) gelu_tanh_f32(row, row, n);
    }
}

EXPORT(matmul_i8)
int32_t matmul_i8(void *workspace, const float *a, const int8_t *b, const float *b_scales, const int32_t *b_sums,
                  const float *bias, float *c, int32_t m, int32_t n, int32_t k, int32_t a_row_stride,
                  int32_t c_row_stride, int32_t activation) {
    if (m < 0 || n < 0 || k < 0 || k > MATMUL_I8_MAX_DEPTH) return STATUS_BAD_ARGUMENT;
    if (activation < ACTIVATION_NONE || activation > ACTIVATION_GELU_TANH) return STATUS_BAD_ARGUMENT;
    int8_t *codes = workspace;
    struct quantized_row *quantized = (struct quantized_row *)(codes + CODE_BYTES);
    int32_t steps = (k + CODE_DEPTH - 1) / CODE_DEPTH, depth = steps * CODE_DEPTH;
    int32_t most = depth ? CODE_BYTES / depth / CODE_ROWS * CODE_ROWS : ROW_BLOCK;
    if (most > ROW_BLOCK) most = ROW_BLOCK;
    for (int32_t r = 0; r < m; r += most) {
        int32_t rows = m - r < most ? m - r : most;
        for (int32_t i = 0; i < rows; i += CODE_ROWS) {
            int32_t left = rows - i < CODE_ROWS ? rows - i : CODE_ROWS;
            quantize_rows(codes + i * depth, quantized + i, a + (r + i) * a_row_stride, a_row_stride, left, k);
        }
        float *block = c + r * c_row_stride;
        for (int32_t j = 0; j < n; j += COLUMNS) {
            int32_t columns = n - j < COLUMNS ? n - j : COLUMNS;
            for (int32_t i = 0; i < rows; i += CODE_ROWS) {
                multiply_tile_i8(block + i * c_row_stride + j, c_row_stride, rows - i, columns, codes + i * depth,
                                 quantized + i, b + j * depth, b_scales + j, b_sums + j, bias ? bias + j : 0, steps);
            }
        }
        activate(block, c_row_stride, rows, n, activation);
    }
    return STATUS_OK;
}
