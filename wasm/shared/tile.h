/* The micro-kernel: products of a tile of four rows by eight columns. matmul, attention and vector searches are loops
 * around it.
 *
 *   C[4][8] += sum over k of A[k][4] (outer product) B[k][8]
 *
 * The operands are packed panels (pack.h): a left panel contains four rows column by column, a right panel eight
 * columns row by row. Each element of C is one chain of multiply-adds in the order of k. Its bits therefore depend only
 * on its own row and column, no matter how the loops around it are split.
 */
#ifndef FLASHWASM_TILE_H
#define FLASHWASM_TILE_H

#include "simd.h"

enum { TILE_ROWS = 4, TILE_COLUMNS = 8 };

/* Eight accumulators: row r is low[r], then high[r]. */
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

INLINE struct tile canonical_tile(struct tile t) {
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = canonical_f32x4(t.low[r]);
        t.high[r] = canonical_f32x4(t.high[r]);
    }
    return t;
}

/* An address that no float has. It is volatile, so that the compiler cannot know its value. */
extern const volatile uintptr_t never_an_address;

/* Forces the engine to finish the multiply-adds of one step before it begins the loads of the next.
 *
 * Cranelift moves pure instructions down to their first use but keeps loads in order. In an unrolled loop all loads
 * would be live at once, and vectors would spill to the stack. The branch here is never taken. Its cold side gives
 * the accumulators other values, so each accumulator becomes a parameter of the next block and must be finished
 * before that block. The values are loaded from an address that no operand has; otherwise the compiler would merge
 * the load with one of the step's loads. See docs/decisions/0005. */
#define PIN(t, pointer, never)                                      \
    do {                                                            \
        if (__builtin_expect((uintptr_t)(pointer) == (never), 0)) { \
            (t) = load_tile((const float *)(never), TILE_COLUMNS);  \
        }                                                           \
    } while (0)

/* One step of k. The engine overwrites the first factor's register with the sum, and therefore copies that factor
 * first. Copying a loaded vector is faster than copying one that was just shuffled: see docs/decisions/0005. */
INLINE void tile_step(struct tile *t, const float *a, const float *b) {
    f32x4 column = load_f32x4(a);
    f32x4 low = load_f32x4(b), high = load_f32x4(b + 4);
    f32x4 a0 = splat_lane_f32x4(column, 0), a1 = splat_lane_f32x4(column, 1);
    f32x4 a2 = splat_lane_f32x4(column, 2), a3 = splat_lane_f32x4(column, 3);
    t->low[0] = fma_f32x4(low, a0, t->low[0]);
    t->high[0] = fma_f32x4(high, a0, t->high[0]);
    t->low[1] = fma_f32x4(low, a1, t->low[1]);
    t->high[1] = fma_f32x4(high, a1, t->high[1]);
    t->low[2] = fma_f32x4(low, a2, t->low[2]);
    t->high[2] = fma_f32x4(high, a2, t->high[2]);
    t->low[3] = fma_f32x4(low, a3, t->low[3]);
    t->high[3] = fma_f32x4(high, a3, t->high[3]);
}

/* Four steps of k. `never` is never_an_address, loaded once for all. */
INLINE void four_tile_steps(struct tile *t, const float *a, const float *b, uintptr_t never) {
    PIN(*t, a, never);
    tile_step(t, a, b);
    PIN(*t, a + 4, never);
    tile_step(t, a + 4, b + 8);
    PIN(*t, a + 8, never);
    tile_step(t, a + 8, b + 16);
    PIN(*t, a + 12, never);
    tile_step(t, a + 12, b + 24);
}

/* t += left panel x right panel, over k steps.
 *
 * Eight steps lie in the loop's body. With four, processors guessed the loop's end wrong for k = 64, the usual
 * dimension of a head. That cost attention a tenth of its time: see docs/decisions/0005. */
INLINE void sweep_tile(struct tile *t, const float *a, const float *b, int32_t k) {
    const uintptr_t never = never_an_address;
    int32_t left = k;
    for (; left >= 8; left -= 8) {
        four_tile_steps(t, a, b, never);
        four_tile_steps(t, a + 16, b + 32, never);
        a += 32;
        b += 64;
        /* Without this, LLVM rewrites the addressing, and the loop needs more registers. */
        __asm__ volatile("" : "+r"(a), "+r"(b));
    }
    for (; left > 0; left--) {
        tile_step(t, a, b);
        a += TILE_ROWS;
        b += TILE_COLUMNS;
    }
}

/* c[4][8] = left panel x right panel */
void product_tile(float *c, const float *a, const float *b, int32_t k);

/* c[4][8] = start[4][8] + left panel x right panel, as the final store. Rows of c are `stride` floats apart. Rows of
 * `start` are `start_stride` floats apart, which is 0 if all four rows start from the same row. `start` may be c. */
void sum_tile(float *c, int32_t stride, const float *start, int32_t start_stride, const float *a, const float *b,
              int32_t k);

/* The same for a tile at the edge: only its first rows <= 4 by columns <= 8 elements lie inside c and `start`. */
void sum_edge_tile(float *c, int32_t stride, const float *start, int32_t start_stride, int32_t rows, int32_t columns,
                   const float *a, const float *b, int32_t k);

/* The same if `rows` by `columns` elements of c remain, which may be more than the tile. */
INLINE void sum_tile_within(float *c, int32_t stride, const float *start, int32_t start_stride, int32_t rows,
                            int32_t columns, const float *a, const float *b, int32_t k) {
    if (rows >= TILE_ROWS && columns >= TILE_COLUMNS) {
        sum_tile(c, stride, start, start_stride, a, b, k);
    } else {
        sum_edge_tile(c, stride, start, start_stride, rows < TILE_ROWS ? rows : TILE_ROWS,
                      columns < TILE_COLUMNS ? columns : TILE_COLUMNS, a, b, k);
    }
}

/* c[4][8] += left panel x right panel */
INLINE void add_tile(float *c, int32_t stride, const float *a, const float *b, int32_t k) {
    sum_tile(c, stride, c, stride, a, b, k);
}

/* The same if `rows` by `columns` elements of c remain. */
INLINE void add_tile_within(float *c, int32_t stride, int32_t rows, int32_t columns, const float *a, const float *b,
                            int32_t k) {
    sum_tile_within(c, stride, c, stride, rows, columns, a, b, k);
}

/* c[r][j] = |row r of the left panel - column j of the right panel|^2, over k dimensions. */
void square_distance_tile(float *c, const float *a, const float *b, int32_t k);

#endif
