/* Packing rows of a matrix into panels: see pack.h. */
#include "pack.h"

#include "simd.h"

/* Packs four rows that all exist, transposing 4 x 4 elements at a time. */
static void pack_four(float *panel, const float *x, int32_t row_stride, int32_t columns, int32_t width, float scale) {
    const float *r0 = x, *r1 = x + row_stride, *r2 = r1 + row_stride, *r3 = r2 + row_stride;
    f32x4 factor = splat_f32x4(scale);
    int32_t j = 0;
    for (; j + 4 <= columns; j += 4) {
        f32x4 a = load_f32x4(r0 + j), b = load_f32x4(r1 + j);
        f32x4 c = load_f32x4(r2 + j), d = load_f32x4(r3 + j);
        transpose_f32x4(&a, &b, &c, &d);
        store_f32x4(panel + (j + 0) * width, mul_f32x4(a, factor));
        store_f32x4(panel + (j + 1) * width, mul_f32x4(b, factor));
        store_f32x4(panel + (j + 2) * width, mul_f32x4(c, factor));
        store_f32x4(panel + (j + 3) * width, mul_f32x4(d, factor));
    }
    for (; j < columns; j++) {
        f32x4 column = wasm_f32x4_make(r0[j], r1[j], r2[j], r3[j]);
        store_f32x4(panel + j * width, mul_f32x4(column, factor));
    }
}

/* Packs fewer than four rows and pads with zeros. */
static void pack_few(float *panel, const float *x, int32_t row_stride, int32_t rows, int32_t columns, int32_t width,
                     float scale) {
    for (int32_t j = 0; j < columns; j++) {
        f32x4 column = wasm_f32x4_make(rows > 0 ? x[j] : 0.0f, rows > 1 ? x[row_stride + j] : 0.0f,
                                       rows > 2 ? x[2 * row_stride + j] : 0.0f, 0.0f);
        store_f32x4(panel + j * width, mul_f32x4(column, splat_f32x4(scale)));
    }
}

void pack_rows_f32(float *panel, const float *x, int32_t row_stride, int32_t rows, int32_t columns, int32_t width,
                   float scale) {
    for (int32_t group = 0; group < width; group += 4) {
        const float *first = x + group * row_stride;
        if (rows - group >= 4) {
            pack_four(panel + group, first, row_stride, columns, width, scale);
        } else {
            pack_few(panel + group, first, row_stride, rows - group, columns, width, scale);
        }
    }
}

/* Packs a matrix that is stored column by column: each of its columns is copied as `width` consecutive floats. */
static void pack_columns(float *panel, const float *x, int32_t column_stride, int32_t columns, int32_t width) {
    for (int32_t j = 0; j < columns; j++) {
        for (int32_t group = 0; group < width; group += 4) {
            store_f32x4(panel + j * width + group, load_f32x4(x + j * column_stride + group));
        }
    }
}

void pack_strided_f32(float *panel, const float *x, int32_t row_stride, int32_t column_stride, int32_t rows,
                      int32_t columns, int32_t width) {
    if (column_stride == 1) {
        pack_rows_f32(panel, x, row_stride, rows, columns, width, 1.0f);
    } else if (row_stride == 1 && rows >= width) {
        pack_columns(panel, x, column_stride, columns, width);
    } else {
        for (int32_t j = 0; j < columns; j++) {
            for (int32_t r = 0; r < width; r++) {
                panel[j * width + r] = r < rows ? x[r * row_stride + j * column_stride] : 0.0f;
            }
        }
    }
}

/* A panel's width, and the number of panels written at once, so that whole cache lines of 64 bytes are read. */
enum { PANEL = 8, PANELS = 4 };

/* Packs PANELS panels of a matrix that is stored column by column. */
static void pack_whole_lines(float *panels, const float *x, int32_t column_stride, int32_t columns) {
    for (int32_t j = 0; j < columns; j++) {
        for (int32_t p = 0; p < PANELS; p++) {
            float *to = panels + (p * columns + j) * PANEL;
            store_f32x4(to, load_f32x4(x + p * PANEL));
            store_f32x4(to + 4, load_f32x4(x + p * PANEL + 4));
        }
        x += column_stride;
    }
}

void pack_panels_f32(float *panels, const float *x, int32_t row_stride, int32_t column_stride, int32_t rows,
                     int32_t columns) {
    int32_t r = 0;
    for (; row_stride == 1 && r + PANELS * PANEL <= rows; r += PANELS * PANEL) {
        pack_whole_lines(panels + r * columns, x + r, column_stride, columns);
    }
    for (; r < rows; r += PANEL) {
        pack_strided_f32(panels + r * columns, x + r * row_stride, row_stride, column_stride, rows - r, columns, PANEL);
    }
}
