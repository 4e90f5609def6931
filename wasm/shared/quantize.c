/* Quantising, four numbers of a row at a time. There is no fused multiply-add here, and maximum and minimum do not
 * depend on the order, so all variants compute the same codes. */
#include "quantize.h"

#include "simd.h"

/* 1.5 * 2^23. A float of this size has no fraction: adding it rounds to an integer, which is then in the low bits. */
#define MAGIC 12582912.0f

struct grid {
    float per_code;           /* One over the scale. */
    float magic, first, last; /* MAGIC plus the codes of the numbers 0, the smallest and the greatest. */
};

static struct quantized_row quantized_row(const float *x, int32_t columns, struct grid *grid) {
    f32x4 smallest = splat_f32x4(0.0f), greatest = smallest, not_finite = smallest;
    int32_t j = 0;
    for (; j < columns; j += 4) {
        f32x4 y = load_at_most_f32x4(x + j, columns - j);
        smallest = pmin_f32x4(smallest, y);
        greatest = pmax_f32x4(greatest, y);
        /* x - x is 0, but NaN for an infinity or a NaN. */
        not_finite = wasm_v128_or(not_finite, wasm_f32x4_ne(sub_f32x4(y, y), splat_f32x4(0.0f)));
    }
    float low = -wasm_f32x4_extract_lane(greatest_f32x4(wasm_f32x4_neg(smallest)), 0);
    float high = wasm_f32x4_extract_lane(greatest_f32x4(greatest), 0);
    /* The range itself may overflow. */
    float scale = high * (1.0f / 127.0f) - low * (1.0f / 127.0f);
    int is_finite = !wasm_v128_any_true(not_finite), is_wide = scale >= SMALLEST_RANGE;
    grid->per_code = is_finite && is_wide ? 1.0f / scale : 0.0f;
    float shifted = MAGIC - low * grid->per_code;
    grid->magic = shifted, grid->first = MAGIC, grid->last = MAGIC + 127.0f;
    if (!is_finite) return (struct quantized_row){CANONICAL_NAN, 0};
    return (struct quantized_row){is_wide ? scale : 0.0f, (int32_t)(shifted - MAGIC)};
}

/* Four codes, each in the lowest byte of its lane. */
INLINE v128_t codes_of(f32x4 x, const struct grid *grid) {
    f32x4 y = add_f32x4(mul_f32x4(x, splat_f32x4(grid->per_code)), splat_f32x4(grid->magic));
    y = pmax_f32x4(splat_f32x4(grid->first), pmin_f32x4(splat_f32x4(grid->last), y));
    return wasm_v128_and(y, wasm_i32x4_splat(127));
}

void quantize_rows(int8_t *panel, struct quantized_row *quantized, const float *x, int32_t row_stride, int32_t rows,
                   int32_t columns) {
    for (int32_t r = 0; r < rows; r++) {
        struct grid grid;
        quantized[r] = quantized_row(x + r * row_stride, columns, &grid);
        const float *row = x + r * row_stride;
        int8_t *to = panel + r * CODE_DEPTH;
        int32_t j = 0;
        for (; j + 16 <= columns; j += 16) {
            v128_t low =
                wasm_i16x8_narrow_i32x4(codes_of(load_f32x4(row + j), &grid), codes_of(load_f32x4(row + j + 4), &grid));
            v128_t high = wasm_i16x8_narrow_i32x4(codes_of(load_f32x4(row + j + 8), &grid),
                                                  codes_of(load_f32x4(row + j + 12), &grid));
            v128_t codes = wasm_i8x16_narrow_i16x8(low, high);
            wasm_v128_store32_lane(to + (j + 0) * CODE_ROWS, codes, 0);
            wasm_v128_store32_lane(to + (j + 4) * CODE_ROWS, codes, 1);
            wasm_v128_store32_lane(to + (j + 8) * CODE_ROWS, codes, 2);
            wasm_v128_store32_lane(to + (j + 12) * CODE_ROWS, codes, 3);
        }
        for (; j < columns; j += 4) {
            v128_t codes = codes_of(load_at_most_f32x4(row + j, columns - j), &grid);
            codes = wasm_i16x8_narrow_i32x4(codes, codes);
            wasm_v128_store32_lane(to + j * CODE_ROWS, wasm_i8x16_narrow_i16x8(codes, codes), 0);
        }
    }
}
