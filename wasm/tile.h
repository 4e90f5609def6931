/* The micro-kernel that matmul, attention and top-k share, and the packing it asks for.
 *
 *   C[4][8] += sum over k of A[k][4] (x) B[k][8]
 *
 * A panel holds four rows of the left operand, column by column; a B panel eight columns of the
 * right one, row by row. Every element of C is one chain of multiply-adds over k in order, so its
 * bits depend on its own row and column alone, however the work around it is cut.
 */
#ifndef FLASHWASM_TILE_H
#define FLASHWASM_TILE_H

#include "simd.h"

enum { TILE_ROWS = 4, TILE_COLUMNS = 8 };

/* Eight accumulators: row r is (low[r], high[r]). */
struct tile {
    f32x4 low[TILE_ROWS], high[TILE_ROWS];
};

INLINE struct tile load_tile(const float *c, int32_t stride) {
    struct tile t;
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = load_f32x4(c + r * stride);
        t.high[r] = load_f32x4(c + r * stride + 4);
    }
    return t;
}

INLINE void store_tile(float *c, int32_t stride, const struct tile *t) {
    for (int r = 0; r < TILE_ROWS; r++) {
        store_f32x4(c + r * stride, t->low[r]);
        store_f32x4(c + r * stride + 4, t->high[r]);
    }
}

/* The tile with any NaN the one of nan.h. */
INLINE struct tile canonical_tile(struct tile t) {
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = canonical_f32x4(t.low[r]);
        t.high[r] = canonical_f32x4(t.high[r]);
    }
    return t;
}

/* An address that no float has. It is read through a volatile so that the compiler cannot know. */
extern const volatile uintptr_t never_an_address;

/* Holds the multiply-adds of one step apart from the loads of the next.
 *
 * Cranelift sinks pure instructions to their first use but keeps loads in order, so a loop that is
 * unrolled has all its loads live at once and spills. The branch here is never taken; its cold side
 * gives the accumulators other values, which makes each of them a parameter of the block that
 * follows, so it must be finished first. Those values are loaded from an address that no operand
 * has, or the compiler would share the load with the step. docs/decisions/0005 has the story. */
#define PIN(t, pointer, never)                                      \
    do {                                                            \
        if (__builtin_expect((uintptr_t)(pointer) == (never), 0)) { \
            (t) = load_tile((const float *)(never), TILE_COLUMNS);  \
        }                                                           \
    } while (0)

INLINE void tile_step(struct tile *t, const float *a, const float *b) {
    f32x4 column = load_f32x4(a);
    f32x4 low = load_f32x4(b), high = load_f32x4(b + 4);
    f32x4 a0 = wasm_i32x4_shuffle(column, column, 0, 0, 0, 0);
    f32x4 a1 = wasm_i32x4_shuffle(column, column, 1, 1, 1, 1);
    f32x4 a2 = wasm_i32x4_shuffle(column, column, 2, 2, 2, 2);
    f32x4 a3 = wasm_i32x4_shuffle(column, column, 3, 3, 3, 3);
    t->low[0] = fma_f32x4(a0, low, t->low[0]);
    t->high[0] = fma_f32x4(a0, high, t->high[0]);
    t->low[1] = fma_f32x4(a1, low, t->low[1]);
    t->high[1] = fma_f32x4(a1, high, t->high[1]);
    t->low[2] = fma_f32x4(a2, low, t->low[2]);
    t->high[2] = fma_f32x4(a2, high, t->high[2]);
    t->low[3] = fma_f32x4(a3, low, t->low[3]);
    t->high[3] = fma_f32x4(a3, high, t->high[3]);
}

/* t += A panel x B panel over k steps. */
INLINE void sweep_tile(struct tile *t, const float *a, const float *b, int32_t k) {
    const uintptr_t never = never_an_address;
    int32_t left = k;
    for (; left >= 4; left -= 4) {
        PIN(*t, a, never);
        tile_step(t, a, b);
        PIN(*t, a + 4, never);
        tile_step(t, a + 4, b + 8);
        PIN(*t, a + 8, never);
        tile_step(t, a + 8, b + 16);
        PIN(*t, a + 12, never);
        tile_step(t, a + 12, b + 24);
        a += 16;
        b += 32;
        __asm__ volatile("" : "+r"(a), "+r"(b)); /* Keeps the two addresses plain. */
    }
    for (; left > 0; left--) {
        tile_step(t, a, b);
        a += TILE_ROWS;
        b += TILE_COLUMNS;
    }
}

/* Packs `width` (4 or 8) rows of x, of which `rows` exist and the others count as zeros, each
 * multiplied by scale, as panel[j][width] for j < columns. */
void pack_rows_f32(float *panel, const float *x, int32_t row_stride, int32_t rows, int32_t columns, int32_t width,
                   float scale);

/* The same for a matrix whose columns lie `column_stride` apart. */
void pack_strided_f32(float *panel, const float *x, int32_t row_stride, int32_t column_stride, int32_t rows,
                      int32_t columns, int32_t width);

#endif
