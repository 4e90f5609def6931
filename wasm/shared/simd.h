/* The vocabulary of the fast kernels: vectors of four floats. No other file depends on the variant. */
#ifndef FLASHWASM_SIMD_H
#define FLASHWASM_SIMD_H

#include <stdint.h>
#include <wasm_simd128.h>

#include "floats.h"

typedef v128_t f32x4;

#define INLINE static inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))

INLINE f32x4 load_f32x4(const float *p) { return wasm_v128_load(p); }
INLINE void store_f32x4(float *p, f32x4 x) { wasm_v128_store(p, x); }
INLINE f32x4 splat_f32x4(float x) { return wasm_f32x4_splat(x); }
INLINE f32x4 add_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_add(a, b); }
INLINE f32x4 sub_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_sub(a, b); }
INLINE f32x4 mul_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_mul(a, b); }
INLINE f32x4 div_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_div(a, b); }

/* One lane of x in all four lanes. It is a macro because the instruction requires a constant lane. */
#define splat_lane_f32x4(x, lane) wasm_i32x4_shuffle(x, x, lane, lane, lane, lane)

/* a * b + c. The relaxed variant rounds once if the engine fuses the two: always if the engine is deterministic,
 * else if the processor has the instruction. The simd128 variant rounds twice. */
INLINE f32x4 fma_f32x4(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
    return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
    return add_f32x4(mul_f32x4(a, b), c);
#endif
}

/* Each lane of 32 bits: sum + the four products of the bytes of w, from -127 to 127, and of a, from 0 to 127.
 *
 * Relaxed SIMD leaves the result to the engine if a byte of a exceeds 127, or if the sum of two products does not
 * fit into 16 bits. Neither occurs here, since 2 * 127 * 127 = 32258, so every engine computes the same result. */
INLINE v128_t add_products_i8x16(v128_t w, v128_t a, v128_t sum) {
#ifdef __wasm_relaxed_simd__
    return __builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4(w, a, sum);
#else
    v128_t even =
        wasm_i32x4_dot_i16x8(wasm_i16x8_shr(wasm_i16x8_shl(w, 8), 8), wasm_v128_and(a, wasm_i16x8_splat(255)));
    v128_t odd = wasm_i32x4_dot_i16x8(wasm_i16x8_shr(w, 8), wasm_u16x8_shr(a, 8));
    return wasm_i32x4_add(wasm_i32x4_add(sum, even), odd);
#endif
}

/* sum + (a - b)^2 */
INLINE f32x4 add_square_of_difference(f32x4 sum, f32x4 a, f32x4 b) {
    f32x4 difference = sub_f32x4(a, b);
    return fma_f32x4(difference, difference, sum);
}

/* a < b ? b : a, which is one instruction on x86. If a is NaN the result is NaN; if b is NaN it is a. */
INLINE f32x4 pmax_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_pmax(a, b); }
/* b < a ? b : a, with the same treatment of NaN. */
INLINE f32x4 pmin_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_pmin(a, b); }

/* x, with every NaN replaced by the one that floats.h describes. */
INLINE f32x4 canonical_f32x4(f32x4 x) {
    return wasm_v128_bitselect(x, splat_f32x4(CANONICAL_NAN), wasm_f32x4_eq(x, x));
}

/* The sum of the lanes, always in the order (x0 + x2) + (x1 + x3). */
INLINE float sum_f32x4(f32x4 x) {
    f32x4 y = add_f32x4(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(y, 0) + wasm_f32x4_extract_lane(y, 1);
}

/* The greatest lane of x in all four lanes. */
INLINE f32x4 greatest_f32x4(f32x4 x) {
    x = pmax_f32x4(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
    return pmax_f32x4(x, wasm_i32x4_shuffle(x, x, 1, 0, 3, 2));
}

/* Transposes the 4 x 4 matrix whose rows are a, b, c and d, in place. */
INLINE void transpose_f32x4(f32x4 *a, f32x4 *b, f32x4 *c, f32x4 *d) {
    f32x4 ab_low = wasm_i32x4_shuffle(*a, *b, 0, 4, 1, 5);
    f32x4 ab_high = wasm_i32x4_shuffle(*a, *b, 2, 6, 3, 7);
    f32x4 cd_low = wasm_i32x4_shuffle(*c, *d, 0, 4, 1, 5);
    f32x4 cd_high = wasm_i32x4_shuffle(*c, *d, 2, 6, 3, 7);
    *a = wasm_i64x2_shuffle(ab_low, cd_low, 0, 2);
    *b = wasm_i64x2_shuffle(ab_low, cd_low, 1, 3);
    *c = wasm_i64x2_shuffle(ab_high, cd_high, 0, 2);
    *d = wasm_i64x2_shuffle(ab_high, cd_high, 1, 3);
}

/* Loads n < 4 floats from p; the other lanes hold `fill`. Nothing past the n floats is read. */
INLINE f32x4 load_tail_f32x4(const float *p, int32_t n, float fill) {
    return wasm_f32x4_make(n > 0 ? p[0] : fill, n > 1 ? p[1] : fill, n > 2 ? p[2] : fill, fill);
}

/* Stores the first n < 4 lanes of x. */
INLINE void store_tail_f32x4(float *p, int32_t n, f32x4 x) {
    if (n > 0) p[0] = wasm_f32x4_extract_lane(x, 0);
    if (n > 1) p[1] = wasm_f32x4_extract_lane(x, 1);
    if (n > 2) p[2] = wasm_f32x4_extract_lane(x, 2);
}

/* Load or store four floats, or only n if n is less than four; missing lanes are loaded as zero. */
INLINE f32x4 load_at_most_f32x4(const float *p, int32_t n) {
    return n >= 4 ? load_f32x4(p) : load_tail_f32x4(p, n, 0.0f);
}
INLINE void store_at_most_f32x4(float *p, int32_t n, f32x4 x) {
    if (n >= 4) {
        store_f32x4(p, x);
    } else {
        store_tail_f32x4(p, n, x);
    }
}

#endif
