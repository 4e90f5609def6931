/* The integer micro-kernel: see code_tile.h.
 *
 * A query's codes have 16 bits and those of a stored vector 8, so one instruction multiplies a pair of dimensions and
 * adds the products. The sums are exact in 32 bits, so the order of additions is free. */
#include "code_tile.h"

#include "../../shared/tile.h"

INLINE v128_t add_pair(v128_t sum, v128_t query, v128_t codes) {
    return wasm_i32x4_add(sum, wasm_i32x4_dot_i16x8(query, codes));
}

/* Adds a pair of dimensions of four queries and a panel. */
INLINE void code_step(struct tile *t, const int16_t *queries, const int8_t *panel) {
    v128_t q = wasm_v128_load(queries), a = wasm_i16x8_load8x8(panel), b = wasm_i16x8_load8x8(panel + 8);
    v128_t q0 = splat_lane_f32x4(q, 0), q1 = splat_lane_f32x4(q, 1);
    v128_t q2 = splat_lane_f32x4(q, 2), q3 = splat_lane_f32x4(q, 3);
    t->low[0] = add_pair(t->low[0], q0, a);
    t->high[0] = add_pair(t->high[0], q0, b);
    t->low[1] = add_pair(t->low[1], q1, a);
    t->high[1] = add_pair(t->high[1], q1, b);
    t->low[2] = add_pair(t->low[2], q2, a);
    t->high[2] = add_pair(t->high[2], q2, b);
    t->low[3] = add_pair(t->low[3], q3, a);
    t->high[3] = add_pair(t->high[3], q3, b);
}

/* Returns 1 if a sum of some query is above that query's threshold. */
INLINE int any_above(const struct tile *t, v128_t thresholds) {
    v128_t zero = wasm_i32x4_gt(wasm_i32x4_max(t->low[0], t->high[0]), splat_lane_f32x4(thresholds, 0));
    v128_t one = wasm_i32x4_gt(wasm_i32x4_max(t->low[1], t->high[1]), splat_lane_f32x4(thresholds, 1));
    v128_t two = wasm_i32x4_gt(wasm_i32x4_max(t->low[2], t->high[2]), splat_lane_f32x4(thresholds, 2));
    v128_t three = wasm_i32x4_gt(wasm_i32x4_max(t->low[3], t->high[3]), splat_lane_f32x4(thresholds, 3));
    return wasm_v128_any_true(wasm_v128_or(wasm_v128_or(zero, one), wasm_v128_or(two, three)));
}

int code_tile(int32_t *sums, const int16_t *queries, const int8_t *panel, int32_t stride, v128_t thresholds) {
    struct tile t = {{wasm_i32x4_splat(0)}, {wasm_i32x4_splat(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t left = stride; left > 0; left -= 4 * CODE_PAIR) {
        PIN(t, queries, never);
        code_step(&t, queries, panel);
        PIN(t, queries + 8, never);
        code_step(&t, queries + 8, panel + 16);
        PIN(t, queries + 16, never);
        code_step(&t, queries + 16, panel + 32);
        PIN(t, queries + 24, never);
        code_step(&t, queries + 24, panel + 48);
        queries += 4 * TILE_ROWS * CODE_PAIR;
        panel += 4 * TILE_COLUMNS * CODE_PAIR;
        __asm__ volatile("" : "+r"(queries), "+r"(panel));
    }
    if (!any_above(&t, thresholds)) return 0;
    store_tile((float *)sums, TILE_COLUMNS, &t);
    return 1;
}

void code_row(int32_t *sums, const int16_t *query, const int8_t *panel, int32_t stride) {
    v128_t low = wasm_i32x4_splat(0), high = low, low2 = low, high2 = low;
    for (int32_t left = stride; left > 0; left -= 4 * CODE_PAIR) {
        v128_t q = wasm_v128_load(query);
        v128_t q0 = splat_lane_f32x4(q, 0), q1 = splat_lane_f32x4(q, 1);
        v128_t q2 = splat_lane_f32x4(q, 2), q3 = splat_lane_f32x4(q, 3);
        low = add_pair(low, q0, wasm_i16x8_load8x8(panel));
        high = add_pair(high, q0, wasm_i16x8_load8x8(panel + 8));
        low2 = add_pair(low2, q1, wasm_i16x8_load8x8(panel + 16));
        high2 = add_pair(high2, q1, wasm_i16x8_load8x8(panel + 24));
        low = add_pair(low, q2, wasm_i16x8_load8x8(panel + 32));
        high = add_pair(high, q2, wasm_i16x8_load8x8(panel + 40));
        low2 = add_pair(low2, q3, wasm_i16x8_load8x8(panel + 48));
        high2 = add_pair(high2, q3, wasm_i16x8_load8x8(panel + 56));
        query += 4 * CODE_PAIR;
        panel += 4 * TILE_COLUMNS * CODE_PAIR;
    }
    wasm_v128_store(sums, wasm_i32x4_add(low, low2));
    wasm_v128_store(sums + 4, wasm_i32x4_add(high, high2));
}
