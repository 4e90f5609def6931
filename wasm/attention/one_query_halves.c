/* The two products of attention for one query, with half-precision keys and values: see one_query_halves.h.
 *
 * If the bits of a half are moved to the position of a float's, the float is too small by a factor of 2^112, unless
 * it is infinite or NaN. The other factor of the product, of the query or a weight, is therefore multiplied by
 * 2^112, which makes the product exact. This takes three instructions for four halves, where storage.c needs eight.
 * If there is an infinity or a NaN, or if the other factor would overflow, the halves are converted to floats first. */
#include "one_query_halves.h"

#include "four_vectors.h"
#include "one_query_products.h"
#include "storage.h"

#define SHIFT 0x1p112f
#define MOST_SHIFTED 0x1p15f /* A number up to this can be multiplied by SHIFT. */

enum { HALVES_STEP = 4 * ATTENTION_PANEL };

/* Four halves with their bits moved to the position of a float's. */
INLINE f32x4 moved_f32x4(const int16_t *x) {
    return wasm_v128_and(wasm_i32x4_shl(wasm_i32x4_load16x4(x), 13), wasm_u32x4_const_splat(0x8fffe000));
}

/* The greater of `most` and the magnitudes of eight halves, as integers. */
INLINE v128_t greatest_magnitudes(v128_t most, const int16_t *x) {
    return wasm_i16x8_max(most, wasm_v128_and(wasm_v128_load(x), wasm_i16x8_splat(0x7fff)));
}

/* Returns 1 if a magnitude is that of an infinity or a NaN: all bits of its exponent are set. */
INLINE int any_special(v128_t most) { return wasm_v128_any_true(wasm_i16x8_ge(most, wasm_i16x8_splat(0x7c00))); }

/* Returns 1 if any of `count` halves, a multiple of sixteen, is infinite or NaN. */
static NOINLINE int has_special(const int16_t *x, int32_t count) {
    v128_t low = wasm_i16x8_splat(0), high = low;
    for (int32_t i = 0; i < count; i += 16) {
        low = greatest_magnitudes(low, x + i);
        high = greatest_magnitudes(high, x + i + 8);
    }
    return any_special(wasm_i16x8_max(low, high));
}

/* The same for `count` halves at x and as many at y, which are read side by side. */
static NOINLINE int either_has_special(const int16_t *x, const int16_t *y, int32_t count) {
    v128_t low = wasm_i16x8_splat(0), high = low;
    for (int32_t i = 0; i < count; i += 8) {
        low = greatest_magnitudes(low, x + i);
        high = greatest_magnitudes(high, y + i);
    }
    return any_special(wasm_i16x8_max(low, high));
}

/* Returns 1 if all of n floats can be multiplied by SHIFT. */
static int can_shift(const float *x, int32_t n) {
    f32x4 most = splat_f32x4(0.0f);
    for (int32_t i = 0; i < n; i += 4) most = pmax_f32x4(most, wasm_f32x4_abs(load_at_most_f32x4(x + i, n - i)));
    return !wasm_v128_any_true(wasm_f32x4_gt(most, splat_f32x4(MOST_SHIFTED)));
}

/* Multiplies sixteen halves by one factor and adds to sum. */
#define ADD_PRODUCTS(sum, halves, factor) \
    for (int i = 0; i < 4; i++) (sum).x[i] = fma_f32x4(moved_f32x4((halves) + 4 * i), factor, (sum).x[i])

/* sums[i] += sum of factors[j] * x[j][i], of `n` times sixteen halves */
INLINE void multiply_halves(struct four *sum, const float *factors, const int16_t *x, int32_t n) {
    const uintptr_t never = never_an_address;
    for (; n >= 4; n -= 4, factors += 4, x += HALVES_STEP) {
        struct four splats = splat_four(mul_f32x4(load_f32x4(factors), splat_f32x4(SHIFT)));
        ADD_PRODUCTS(*sum, x, splats.x[0]);
        PIN_FOUR(*sum, x, never);
        ADD_PRODUCTS(*sum, x + ATTENTION_PANEL, splats.x[1]);
        PIN_FOUR(*sum, x, never);
        ADD_PRODUCTS(*sum, x + 2 * ATTENTION_PANEL, splats.x[2]);
        PIN_FOUR(*sum, x, never);
        ADD_PRODUCTS(*sum, x + 3 * ATTENTION_PANEL, splats.x[3]);
        PIN_FOUR(*sum, x, never);
    }
    for (; n > 0; n--, factors++, x += ATTENTION_PANEL) ADD_PRODUCTS(*sum, x, splat_f32x4(*factors * SHIFT));
}

static NOINLINE void score_panel_halves(float *scores, const float *q, const int16_t *k, int32_t dim) {
    struct four sum = {{splat_f32x4(0), splat_f32x4(0), splat_f32x4(0), splat_f32x4(0)}};
    multiply_halves(&sum, q, k, dim);
    store_four(scores, &sum);
}

void score_halves(float *scores, const float *q, const int16_t *k, int32_t dim, int32_t keys, float *room) {
    int32_t panel = dim * ATTENTION_PANEL, panels = (keys + ATTENTION_PANEL - 1) / ATTENTION_PANEL;
    int moved = can_shift(q, dim) && !has_special(k, panels * panel);
    for (; panels > 0; panels--, scores += ATTENTION_PANEL, k += panel) {
        if (moved) {
            score_panel_halves(scores, q, k, dim);
        } else {
            widen_halves(room, k, panel);
            score_panel(scores, q, room, dim);
        }
    }
}

static NOINLINE void add_sixteen_halves(float *out, const float *weights, const int16_t *v, int32_t keys,
                                        f32x4 shrink) {
    struct four sum = load_four(out);
    for (int i = 0; i < 4; i++) sum.x[i] = mul_f32x4(sum.x[i], shrink);
    multiply_halves(&sum, weights, v, keys);
    store_four(out, &sum);
}

void add_halves(float *out, const float *weights, const int16_t *v, int32_t next, int32_t keys, f32x4 shrink,
                int32_t columns, float most, float *room) {
    int32_t count = keys * ATTENTION_PANEL, moved = 0;
    for (int32_t c = 0, left = columns; left > 0; c += ATTENTION_PANEL, left -= ATTENTION_PANEL, v += next) {
        /* Every other group is checked together with the group after it. */
        if (c % (2 * ATTENTION_PANEL) == 0) {
            const int16_t *after = left > ATTENTION_PANEL ? v + next : v;
            moved = most <= MOST_SHIFTED && !either_has_special(v, after, count);
        }
        if (moved && left >= ATTENTION_PANEL) {
            add_sixteen_halves(out + c, weights, v, keys, shrink);
            continue;
        }
        widen_halves(room, v, count);
        int32_t some = left < ATTENTION_PANEL ? left : ATTENTION_PANEL;
        add_columns(out + c, weights, room, ATTENTION_PANEL, ATTENTION_PANEL, keys, shrink, some);
    }
}
