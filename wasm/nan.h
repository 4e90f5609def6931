/* The one NaN that kernels give out.
 *
 * WebAssembly leaves the sign of a computed NaN open, and often its payload, and processors differ
 * (x86 gives 0xffc00000, ARM 0x7fc00000). So what a kernel computes passes through here, or through
 * canonical_f32x4, as it is stored for the last time. What is only copied keeps its bits. */
#ifndef FLASHWASM_NAN_H
#define FLASHWASM_NAN_H

#define CANONICAL_NAN __builtin_nanf("") /* 0x7fc00000 */

static inline float canonical_f32(float x) { return x == x ? x : CANONICAL_NAN; }

#endif
