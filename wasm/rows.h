/* Reductions over one row of floats, in an order fixed by the row's length alone. */
#ifndef FLASHWASM_ROWS_H
#define FLASHWASM_ROWS_H

#include "simd.h"

/* Sums longer than this are summed in pieces, so that rounding grows with the number of pieces. */
enum { SUM_PIECE = 4096 };

/* What is summed: each element's term, given the row's centre. */
typedef f32x4 (*term_f32x4)(f32x4 x, f32x4 centre);

INLINE f32x4 value_term(f32x4 x, f32x4 centre) {
    (void)centre;
    return x;
}
INLINE f32x4 square_term(f32x4 x, f32x4 centre) {
    f32x4 d = sub_f32x4(x, centre);
    return mul_f32x4(d, d);
}

/* Four vectors at a time, each with its own running sum. `centre` also pads the last vector, so a
 * square term adds nothing there; for value terms it must be zero. */
INLINE float sum_piece(const float *x, int32_t n, f32x4 centre, term_f32x4 term) {
    f32x4 s0 = splat_f32x4(0), s1 = s0, s2 = s0, s3 = s0;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        s0 = add_f32x4(s0, term(load_f32x4(x + i), centre));
        s1 = add_f32x4(s1, term(load_f32x4(x + i + 4), centre));
        s2 = add_f32x4(s2, term(load_f32x4(x + i + 8), centre));
        s3 = add_f32x4(s3, term(load_f32x4(x + i + 12), centre));
    }
    for (; i + 4 <= n; i += 4) s0 = add_f32x4(s0, term(load_f32x4(x + i), centre));
    if (i < n) {
        float pad = wasm_f32x4_extract_lane(centre, 0);
        s1 = add_f32x4(s1, term(load_tail_f32x4(x + i, n - i, pad), centre));
    }
    return sum_f32x4(add_f32x4(add_f32x4(s0, s1), add_f32x4(s2, s3)));
}

INLINE float sum_row(const float *x, int32_t n, float centre, term_f32x4 term) {
    float total = 0.0f;
    for (int32_t i = 0; i < n; i += SUM_PIECE) {
        int32_t piece = n - i < SUM_PIECE ? n - i : SUM_PIECE;
        total += sum_piece(x + i, piece, splat_f32x4(centre), term);
    }
    return total;
}

INLINE float sqrt_f32(float x) { return __builtin_sqrtf(x); }

#endif
