/* Sums over one row of floats. The order of the additions depends only on the row's length. */
#ifndef FLASHWASM_ROW_SUMS_H
#define FLASHWASM_ROW_SUMS_H

#include "simd.h"

/* A longer row is summed in pieces of this length, whose sums are then added: the rounding error grows with the
 * length of a piece and the number of pieces, not with the length of the row. */
enum { SUM_PIECE = 4096 };

/* Adds the terms of four elements to a sum: add_value, or add_square_of_difference from `centre`. */
typedef f32x4 (*add_term_f32x4)(f32x4 sum, f32x4 x, f32x4 centre);

INLINE f32x4 add_value(f32x4 sum, f32x4 x, f32x4 centre) {
    (void)centre;
    return add_f32x4(sum, x);
}

/* The four running sums of a piece of a row. */
struct running_sums {
    f32x4 s0, s1, s2, s3;
};

/* Adds 16 elements, a vector to each sum. */
INLINE void add_sixteen(struct running_sums *s, const float *x, f32x4 centre, add_term_f32x4 add) {
    s->s0 = add(s->s0, load_f32x4(x), centre);
    s->s1 = add(s->s1, load_f32x4(x + 4), centre);
    s->s2 = add(s->s2, load_f32x4(x + 8), centre);
    s->s3 = add(s->s3, load_f32x4(x + 12), centre);
}

/* Adds the elements from i to n, fewer than 16, and returns the whole sum. The last vector is padded with `centre`,
 * so that missing elements add nothing: their squared difference is zero. With add_value, `centre` must be zero. */
INLINE float whole_sum(struct running_sums s, const float *x, int32_t i, int32_t n, f32x4 centre, add_term_f32x4 add) {
    for (; i + 4 <= n; i += 4) s.s0 = add(s.s0, load_f32x4(x + i), centre);
    if (i < n) {
        float pad = wasm_f32x4_extract_lane(centre, 0);
        s.s1 = add(s.s1, load_tail_f32x4(x + i, n - i, pad), centre);
    }
    return sum_f32x4(add_f32x4(add_f32x4(s.s0, s.s1), add_f32x4(s.s2, s.s3)));
}

INLINE float sum_piece(const float *x, int32_t n, f32x4 centre, add_term_f32x4 add) {
    struct running_sums s = {0};
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) add_sixteen(&s, x + i, centre, add);
    return whole_sum(s, x, i, n, centre, add);
}

/* Returns `total` plus the sum of a row, or of a part of a row that begins at a multiple of SUM_PIECE. */
INLINE float sum_row_from(float total, const float *x, int32_t n, float centre, add_term_f32x4 add) {
    for (int32_t i = 0; i < n; i += SUM_PIECE) {
        int32_t piece = n - i < SUM_PIECE ? n - i : SUM_PIECE;
        total += sum_piece(x + i, piece, splat_f32x4(centre), add);
    }
    return total;
}

INLINE float sum_row(const float *x, int32_t n, float centre, add_term_f32x4 add) {
    return sum_row_from(0.0f, x, n, centre, add);
}

INLINE float sqrt_f32(float x) { return __builtin_sqrtf(x); }

#endif
