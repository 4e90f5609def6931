/* The vector instructions of WebAssembly for other processors: what SIMDe has, and what its release 0.7.4 lacks. */
#ifndef FLASHWASM_NATIVE_SIMD128_H
#define FLASHWASM_NATIVE_SIMD128_H

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/wasm/simd128.h>

#define wasm_u32x4_splat(x) wasm_i32x4_splat((int32_t)(x))
#define wasm_u32x4_make(a, b, c, d) wasm_i32x4_make((int32_t)(a), (int32_t)(b), (int32_t)(c), (int32_t)(d))
#define wasm_u32x4_const_splat(x) wasm_u32x4_splat(x)
#define wasm_i8x16_const_splat(x) wasm_i8x16_splat(x)
#define wasm_i32x4_const_splat(x) wasm_i32x4_splat(x)

/* a * b + c, rounded once as the relaxed variant's engine does it. */
static inline v128_t __builtin_wasm_relaxed_madd_f32x4(v128_t a, v128_t b, v128_t c) {
    typedef float floats __attribute__((vector_size(16)));
    return (v128_t)__builtin_elementwise_fma((floats)a, (floats)b, (floats)c);
}

/* For each group of four bytes: sum + the products of codes from -128 to 127 and codes from 0 to 127. */
static inline v128_t __builtin_wasm_relaxed_dot_i8x16_i7x16_add_s_i32x4(v128_t a, v128_t b, v128_t sum) {
    int8_t of_a[16], of_b[16];
    int32_t sums[4];
    wasm_v128_store(of_a, a);
    wasm_v128_store(of_b, b);
    wasm_v128_store(sums, sum);
    for (int i = 0; i < 16; i++) sums[i / 4] += of_a[i] * of_b[i];
    return wasm_v128_load(sums);
}

#endif
