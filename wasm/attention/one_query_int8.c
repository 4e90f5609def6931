/* The two products of attention for one query, with keys and values in int8: see one_query_int8.h.
 *
 * The query, or the weights of a block, are converted to integers of 30 bits, scaled by their greatest magnitude and
 * split into two halves of 16 bits. The sums of their products with int8 numbers are exact in 32 bits, so the order
 * of additions does not matter, and eight products take two instructions. The error is about the same as in float32. */
#include "one_query_int8.h"

#include "../shared/vector_math.h"
#include "mask.h"

#define MAGIC 12582912.0f /* 1.5 * 2^23: adding it to x leaves the integer nearest to x in the low bits. */

enum { PANEL = ATTENTION_PANEL, PAIR_BYTES = 2 * ATTENTION_PANEL };

INLINE v128_t nearest_i32x4(f32x4 x) { return wasm_i32x4_sub(add_f32x4(x, splat_f32x4(MAGIC)), splat_f32x4(MAGIC)); }

/* Converts n floats, a multiple of eight. The unit becomes NaN if any of them is infinite or NaN. */
static NOINLINE void to_fixed_point(struct fixed_point *fixed, const float *x, int32_t n) {
    f32x4 greatest = splat_f32x4(0.0f), zeros = greatest;
    for (int32_t i = 0; i < n; i += 4) {
        greatest = pmax_f32x4(greatest, wasm_f32x4_abs(load_f32x4(x + i)));
        zeros = fma_f32x4(load_f32x4(x + i), splat_f32x4(0.0f), zeros);
    }
    /* The exponent is biased: every magnitude is below 2^(exponent - 126). The factor brings it below 2^14. */
    int32_t exponent = wasm_i32x4_extract_lane(greatest_f32x4(greatest), 0) >> 23;
    int32_t up = 267 - exponent < 254 ? 267 - exponent : 254;
    f32x4 factor = wasm_i32x4_splat(up << 23);
    fixed->unit = 1.0f / wasm_f32x4_extract_lane(factor, 0) + sum_f32x4(zeros);
    for (int32_t i = 0; i < n; i += 8) {
        v128_t high[2], low[2];
        for (int32_t half = 0; half < 2; half++) {
            f32x4 scaled = mul_f32x4(load_f32x4(x + i + 4 * half), factor);
            f32x4 whole = sub_f32x4(add_f32x4(scaled, splat_f32x4(MAGIC)), splat_f32x4(MAGIC));
            high[half] = nearest_i32x4(whole);
            low[half] = nearest_i32x4(mul_f32x4(sub_f32x4(scaled, whole), splat_f32x4(32768.0f)));
        }
        wasm_v128_store(fixed->high + i, wasm_i16x8_narrow_i32x4(high[0], high[1]));
        wasm_v128_store(fixed->low + i, wasm_i16x8_narrow_i32x4(low[0], low[1]));
    }
}

/* Multiplies a pair of numbers in each of a panel's sixteen rows by the pair of the fixed-point vector that `lane`
 * selects, once with its high halves and once with its low halves. */
#define PAIR_STEP(t, panel, lane)                                                     \
    do {                                                                              \
        v128_t high = splat_lane_f32x4(highs, lane);                                  \
        v128_t low = splat_lane_f32x4(lows, lane);                                    \
        for (int i = 0; i < 4; i++) {                                                 \
            v128_t x = wasm_i16x8_load8x8((panel) + PAIR_BYTES * (lane) + 8 * i);     \
            (t).high[i] = wasm_i32x4_add((t).high[i], wasm_i32x4_dot_i16x8(x, high)); \
            (t).low[i] = wasm_i32x4_add((t).low[i], wasm_i32x4_dot_i16x8(x, low));    \
        }                                                                             \
        PIN(t, (const float *)((panel) + PAIR_BYTES * (lane)), never);                \
    } while (0)

/* sums[i] = row i of the panel . the fixed-point vector of length n, a multiple of eight. The panel is
 * [n / 2][16 rows][2]. */
static NOINLINE void multiply_panel(float *sums, const int8_t *panel, const struct fixed_point *fixed, int32_t n) {
    const uintptr_t never = never_an_address;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    for (int32_t j = 0; j < n; j += 8, panel += 4 * PAIR_BYTES) {
        v128_t highs = wasm_v128_load(fixed->high + j), lows = wasm_v128_load(fixed->low + j);
        PAIR_STEP(t, panel, 0);
        PAIR_STEP(t, panel, 1);
        PAIR_STEP(t, panel, 2);
        PAIR_STEP(t, panel, 3);
    }
    for (int i = 0; i < 4; i++) {
        f32x4 low = wasm_f32x4_convert_i32x4(t.low[i]), high = wasm_f32x4_convert_i32x4(t.high[i]);
        f32x4 sum = fma_f32x4(low, splat_f32x4(0x1p-15f), high);
        store_f32x4(sums + 4 * i, mul_f32x4(sum, splat_f32x4(fixed->unit)));
    }
}

/* x[j] *= scales[j] for the keys, up to a multiple of four; returns 1 if all products are finite. */
static int scale_keys(float *x, const float *scales, int32_t keys) {
    f32x4 zeros = splat_f32x4(0.0f);
    for (int32_t j = 0; j < keys; j += 4) {
        f32x4 scaled = mul_f32x4(load_f32x4(x + j), load_f32x4(scales + j));
        zeros = fma_f32x4(scaled, splat_f32x4(0.0f), zeros);
        store_f32x4(x + j, scaled);
    }
    return sum_f32x4(zeros) == 0.0f;
}

void prepare_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args) {
    int32_t dim = (args->dim + 7) / 8 * 8;
    for (int32_t d = args->dim; d < dim; d++) w->q[d] = 0.0f;
    to_fixed_point(&w->query, w->q, dim);
}

void score_row_int8(struct row_workspace *w, const struct attention_f32_arguments *args, struct attention_place at) {
    int32_t key_head = at.head / args->group, dim = (args->dim + 7) / 8 * 8;
    const int8_t *k = (const int8_t *)args->k + key_head * args->k_head_stride + at.key * args->k_stride;
    for (int32_t j = 0; j < at.keys; j += PANEL) {
        multiply_panel(w->scores + j, k + j * args->k_stride, &w->query, dim);
    }
    scale_keys(w->scores, args->k_scales + key_head * args->capacity + at.key, at.keys);
}

void add_values_int8(float *out, struct row_workspace *w, const struct attention_f32_arguments *args,
                     struct attention_place at, int masked, f32x4 shrink) {
    int32_t key_head = at.head / args->group, keys = (at.keys + 7) / 8 * 8;
    int finite = scale_keys(w->scores, args->v_scales + key_head * args->capacity + at.key, at.keys);
    for (int32_t j = at.keys; j < keys; j++) w->scores[j] = 0.0f;
    /* The weight of a hidden key is zero even if its scale is not finite. */
    if (!finite && masked) {
        for (int32_t j = 0; j < at.keys; j++) w->hidden[j] = 0.0f;
        mask_row(w->hidden, args, at);
        for (int32_t j = 0; j < at.keys; j++) {
            if (w->hidden[j] == MINUS_INFINITY) w->scores[j] = 0.0f;
        }
    }
    to_fixed_point(&w->weights, w->scores, keys);
    /* A panel of columns has room for all keys of the head. */
    int32_t next = args->capacity * PANEL;
    const int8_t *v = (const int8_t *)args->v + key_head * args->v_head_stride + at.key * PANEL;
    for (int32_t c = 0; c < args->value_dim; c += PANEL, v += next) {
        float sums[PANEL];
        multiply_panel(sums, v, &w->weights, keys);
        for (int32_t i = 0; i < PANEL && c + i < args->value_dim; i += 4) {
            store_f32x4(out + c + i, fma_f32x4(load_f32x4(out + c + i), shrink, load_f32x4(sums + i)));
        }
    }
}
