/* The integer micro-kernel: see code_tile.h.
 *
 * One instruction multiplies four dimensions and adds the products. The sums are exact in 32 bits, so the order of
 * additions does not matter. They start at minus the zero point times the sums of the vectors' codes. */
#include "code_tile.h"

#include "../../shared/tile.h"
#include "../store.h"

/* The initial sums of a panel's first or last four vectors. */
INLINE v128_t less_zero(const int8_t *sums, int32_t zero) {
    return wasm_i32x4_mul(wasm_v128_load(sums), wasm_i32x4_splat(-zero));
}

/* Adds four dimensions of four queries and a panel. */
INLINE void code_step(struct tile *t, const int8_t *queries, const int8_t *panel) {
    v128_t q = wasm_v128_load(queries), a = wasm_v128_load(panel), b = wasm_v128_load(panel + 16);
    v128_t q0 = splat_lane_f32x4(q, 0), q1 = splat_lane_f32x4(q, 1);
    v128_t q2 = splat_lane_f32x4(q, 2), q3 = splat_lane_f32x4(q, 3);
    t->low[0] = add_products_i8x16(a, q0, t->low[0]);
    t->high[0] = add_products_i8x16(b, q0, t->high[0]);
    t->low[1] = add_products_i8x16(a, q1, t->low[1]);
    t->high[1] = add_products_i8x16(b, q1, t->high[1]);
    t->low[2] = add_products_i8x16(a, q2, t->low[2]);
    t->high[2] = add_products_i8x16(b, q2, t->high[2]);
    t->low[3] = add_products_i8x16(a, q3, t->low[3]);
    t->high[3] = add_products_i8x16(b, q3, t->high[3]);
}

/* Returns 1 if a sum of some query is above that query's threshold. */
INLINE int any_above(const struct tile *t, v128_t thresholds) {
    v128_t zero = wasm_i32x4_gt(wasm_i32x4_max(t->low[0], t->high[0]), splat_lane_f32x4(thresholds, 0));
    v128_t one = wasm_i32x4_gt(wasm_i32x4_max(t->low[1], t->high[1]), splat_lane_f32x4(thresholds, 1));
    v128_t two = wasm_i32x4_gt(wasm_i32x4_max(t->low[2], t->high[2]), splat_lane_f32x4(thresholds, 2));
    v128_t three = wasm_i32x4_gt(wasm_i32x4_max(t->low[3], t->high[3]), splat_lane_f32x4(thresholds, 3));
    return wasm_v128_any_true(wasm_v128_or(wasm_v128_or(zero, one), wasm_v128_or(two, three)));
}

double pack_digits(int8_t *high, int8_t *low, const int16_t *codes, int32_t stride) {
    int32_t bits = low_digit_bits(stride), half = 1 << (bits - 1);
    int64_t square = 0;
    for (int32_t i = 0; i < stride; i++) {
        int32_t code = codes[i] + half, digit = (code & (2 * half - 1)) - half;
        int32_t place = i / CODE_STEP * TILE_ROWS * CODE_STEP + i % CODE_STEP;
        high[place] = (int8_t)((code >> bits) + HIGH_ZERO);
        low[place] = (int8_t)(digit + half);
        square += digit * digit;
    }
    return __builtin_sqrt((double)square);
}

int code_tile(int32_t *sums, const int8_t *queries, const int8_t *panel, int32_t stride, v128_t thresholds) {
    struct tile t;
    v128_t low = less_zero(panel, HIGH_ZERO), high = less_zero(panel + 16, HIGH_ZERO);
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = low;
        t.high[r] = high;
    }
    panel += CODE_SUMS;
    const uintptr_t never = never_an_address;
    for (int32_t left = stride; left > 0; left -= 4 * CODE_STEP) {
        PIN(t, queries, never);
        code_step(&t, queries, panel);
        PIN(t, queries + 16, never);
        code_step(&t, queries + 16, panel + 32);
        PIN(t, queries + 32, never);
        code_step(&t, queries + 32, panel + 64);
        PIN(t, queries + 48, never);
        code_step(&t, queries + 48, panel + 96);
        queries += 4 * TILE_ROWS * CODE_STEP;
        panel += 4 * TILE_COLUMNS * CODE_STEP;
        __asm__ volatile("" : "+r"(queries), "+r"(panel));
    }
    if (!any_above(&t, thresholds)) return 0;
    store_tile((float *)sums, TILE_COLUMNS, &t);
    return 1;
}

void code_row(int32_t *sums, const int8_t *query, int32_t zero, const int8_t *panel, int32_t stride) {
    v128_t low = less_zero(panel, zero), high = less_zero(panel + 16, zero);
    panel += CODE_SUMS;
    for (int32_t left = stride; left > 0; left -= 4 * CODE_STEP) {
        for (int32_t i = 0; i < 4; i++) {
            v128_t q = wasm_v128_load32_splat(query + i * TILE_ROWS * CODE_STEP);
            const int8_t *codes = panel + i * TILE_COLUMNS * CODE_STEP;
            low = add_products_i8x16(wasm_v128_load(codes), q, low);
            high = add_products_i8x16(wasm_v128_load(codes + 16), q, high);
        }
        query += 4 * TILE_ROWS * CODE_STEP;
        panel += 4 * TILE_COLUMNS * CODE_STEP;
    }
    wasm_v128_store(sums, low);
    wasm_v128_store(sums + 4, high);
}

void code_four_panels(int32_t *sums, const int8_t *query, int32_t zero, const int8_t *panel, size_t apart,
                      int32_t stride) {
    struct tile t;
    for (int r = 0; r < 4; r++) {
        t.low[r] = less_zero(panel + r * apart, zero);
        t.high[r] = less_zero(panel + r * apart + 16, zero);
    }
    const int8_t *a = panel + CODE_SUMS, *b = a + apart, *c = b + apart, *d = c + apart;
    const uintptr_t never = never_an_address;
    for (int32_t left = stride; left > 0; left -= CODE_STEP) {
        PIN(t, query, never);
        v128_t q = wasm_v128_load32_splat(query);
        t.low[0] = add_products_i8x16(wasm_v128_load(a), q, t.low[0]);
        t.high[0] = add_products_i8x16(wasm_v128_load(a + 16), q, t.high[0]);
        t.low[1] = add_products_i8x16(wasm_v128_load(b), q, t.low[1]);
        t.high[1] = add_products_i8x16(wasm_v128_load(b + 16), q, t.high[1]);
        PIN(t, query, never);
        t.low[2] = add_products_i8x16(wasm_v128_load(c), q, t.low[2]);
        t.high[2] = add_products_i8x16(wasm_v128_load(c + 16), q, t.high[2]);
        t.low[3] = add_products_i8x16(wasm_v128_load(d), q, t.low[3]);
        t.high[3] = add_products_i8x16(wasm_v128_load(d + 16), q, t.high[3]);
        query += TILE_ROWS * CODE_STEP;
        a += TILE_COLUMNS * CODE_STEP;
        b += TILE_COLUMNS * CODE_STEP;
        c += TILE_COLUMNS * CODE_STEP;
        d += TILE_COLUMNS * CODE_STEP;
    }
    store_tile((float *)sums, TILE_COLUMNS, &t);
}
