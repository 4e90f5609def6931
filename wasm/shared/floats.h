/* Special values and the bits of one float. Everything here is plain C that any variant can include. */
#ifndef FLASHWASM_FLOATS_H
#define FLASHWASM_FLOATS_H

#include <stdint.h>

#define MINUS_INFINITY (-__builtin_inff())

/* The one NaN that kernels return, 0x7fc00000.
 *
 * WebAssembly does not specify the sign of a computed NaN, and often not its payload either. Processors differ: x86
 * computes 0xffc00000, ARM 0x7fc00000. A kernel therefore passes each computed result through canonical_f32 or
 * canonical_f32x4 before its final store. Copied values keep their bits. */
#define CANONICAL_NAN __builtin_nanf("")

static inline float canonical_f32(float x) { return x == x ? x : CANONICAL_NAN; }

union float_bits {
    float f;
    uint32_t bits;
};

static inline uint32_t bits_of_f32(float x) { return (union float_bits){.f = x}.bits; }
static inline float f32_of_bits(uint32_t bits) { return (union float_bits){.bits = bits}.f; }

#endif
