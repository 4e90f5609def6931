/* The f32x4 vocabulary: four floats to a vector, and the one place that knows of variants. */
#ifndef FLASHWASM_SIMD_H
#define FLASHWASM_SIMD_H

#include <stdint.h>
#include <wasm_simd128.h>

#include "nan.h"

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

/* a * b + c, rounded once in the relaxed variant and twice in simd128. A deterministic engine, or
 * one on a host that has the instruction, always fuses the relaxed one. */
INLINE f32x4 fma_f32x4(f32x4 a, f32x4 b, f32x4 c) {
#ifdef __wasm_relaxed_simd__
    return __builtin_wasm_relaxed_madd_f32x4(a, b, c);
#else
    return add_f32x4(mul_f32x4(a, b), c);
#endif
}

/* a < b ? b : a, one instruction on x86: a NaN in a stays, a NaN in b is passed over. */
INLINE f32x4 pmax_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_pmax(a, b); }
/* b < a ? b : a, likewise. */
INLINE f32x4 pmin_f32x4(f32x4 a, f32x4 b) { return wasm_f32x4_pmin(a, b); }

/* x with any NaN the one of nan.h. */
INLINE f32x4 canonical_f32x4(f32x4 x) {
    return wasm_v128_bitselect(x, splat_f32x4(CANONICAL_NAN), wasm_f32x4_eq(x, x));
}

/* ((x0 + x2) + (x1 + x3)): one fixed order. */
INLINE float sum_f32x4(f32x4 x) {
    f32x4 y = add_f32x4(x, wasm_i32x4_shuffle(x, x, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(y, 0) + wasm_f32x4_extract_lane(y, 1);
}

/* Rows a, b, c, d become columns. */
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

/* The first n < 4 floats at p; the other lanes hold fill. */
INLINE f32x4 load_tail_f32x4(const float *p, int32_t n, float fill) {
    return wasm_f32x4_make(n > 0 ? p[0] : fill, n > 1 ? p[1] : fill, n > 2 ? p[2] : fill, fill);
}

/* The first n < 4 lanes of x. */
INLINE void store_tail_f32x4(float *p, int32_t n, f32x4 x) {
    if (n > 0) p[0] = wasm_f32x4_extract_lane(x, 0);
    if (n > 1) p[1] = wasm_f32x4_extract_lane(x, 1);
    if (n > 2) p[2] = wasm_f32x4_extract_lane(x, 2);
}

#endif
