/* The functions of tile.h that are not inlined. Each contains one hot loop. */
#include "tile.h"

const volatile uintptr_t never_an_address = 1;

void product_tile(float *c, const float *a, const float *b, int32_t k) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    sweep_tile(&t, a, b, k);
    store_tile(c, TILE_COLUMNS, &t);
}

void NOINLINE sum_tile(float *c, int32_t stride, const float *start, int32_t start_stride, const float *a,
                       const float *b, int32_t k) {
    struct tile t = load_tile(start, start_stride);
    sweep_tile(&t, a, b, k);
    t = canonical_tile(t);
    store_tile(c, stride, &t);
}

void sum_edge_tile(float *c, int32_t stride, const float *start, int32_t start_stride, int32_t rows, int32_t columns,
                   const float *a, const float *b, int32_t k) {
    float whole[TILE_ROWS * TILE_COLUMNS] = {0};
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t j = 0; j < columns; j++) whole[r * TILE_COLUMNS + j] = start[r * start_stride + j];
    }
    sum_tile(whole, TILE_COLUMNS, whole, TILE_COLUMNS, a, b, k);
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t j = 0; j < columns; j++) c[r * stride + j] = whole[r * TILE_COLUMNS + j];
    }
}

void square_distance_tile(float *c, const float *a, const float *b, int32_t k) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t j = 0; j < k; j++) {
        PIN(t, a, never);
        f32x4 column = load_f32x4(a), low = load_f32x4(b), high = load_f32x4(b + 4);
        f32x4 a0 = splat_lane_f32x4(column, 0), a1 = splat_lane_f32x4(column, 1);
        f32x4 a2 = splat_lane_f32x4(column, 2), a3 = splat_lane_f32x4(column, 3);
        t.low[0] = add_square_of_difference(t.low[0], a0, low);
        t.high[0] = add_square_of_difference(t.high[0], a0, high);
        t.low[1] = add_square_of_difference(t.low[1], a1, low);
        t.high[1] = add_square_of_difference(t.high[1], a1, high);
        t.low[2] = add_square_of_difference(t.low[2], a2, low);
        t.high[2] = add_square_of_difference(t.high[2], a2, high);
        t.low[3] = add_square_of_difference(t.low[3], a3, low);
        t.high[3] = add_square_of_difference(t.high[3], a3, high);
        a += TILE_ROWS;
        b += TILE_COLUMNS;
        __asm__ volatile("" : "+r"(a), "+r"(b));
    }
    store_tile(c, TILE_COLUMNS, &t);
}
