/* Converting keys and values that are not stored as rows of floats: see storage.h. */
#include "storage.h"

/* Converts four numbers of IEEE 754 half precision, each in the low half of its lane. Shifted up, the exponent and
 * fraction of a half are those of a float that is too small by 2^112. In infinity and NaN all exponent bits are set,
 * so they are set in the float too. */
INLINE f32x4 halves_f32x4(v128_t x) {
    v128_t moved = wasm_v128_and(wasm_i32x4_shl(x, 13), wasm_u32x4_const_splat(0x8fffe000));
    v128_t exponent = wasm_u32x4_const_splat(0x0f800000);
    v128_t special = wasm_i32x4_eq(wasm_v128_and(moved, exponent), exponent);
    f32x4 number = mul_f32x4(moved, splat_f32x4(0x1p112f));
    return wasm_v128_or(number, wasm_v128_and(special, wasm_u32x4_const_splat(0x7f800000)));
}

static void load_halves(float *rows, const int16_t *x, int32_t stride, int32_t count, int32_t columns) {
    for (int32_t j = 0; j < count; j++) {
        int32_t c = 0;
        for (; c + 4 <= columns; c += 4) {
            store_f32x4(rows + j * ATTENTION_MAX_DIM + c, halves_f32x4(wasm_i32x4_load16x4(x + j * stride + c)));
        }
        int16_t last[4] = {0, 0, 0, 0};
        for (int32_t i = 0; c + i < columns; i++) last[i] = x[j * stride + c + i];
        if (c < columns) store_f32x4(rows + j * ATTENTION_MAX_DIM + c, halves_f32x4(wasm_i32x4_load16x4(last)));
    }
}

/* Turns panels of sixteen keys, [dim][16], into rows. */
static void load_panels(float *rows, const float *x, int32_t count, int32_t columns) {
    for (int32_t j = 0; j < count; j += 4) {
        const float *panel = x + j / ATTENTION_PANEL * ATTENTION_PANEL * columns + j % ATTENTION_PANEL;
        int32_t c = 0;
        for (; c + 4 <= columns; c += 4) {
            f32x4 four[4];
            for (int32_t i = 0; i < 4; i++) four[i] = load_f32x4(panel + (c + i) * ATTENTION_PANEL);
            transpose_f32x4(&four[0], &four[1], &four[2], &four[3]);
            for (int32_t i = 0; i < 4; i++) store_f32x4(rows + (j + i) * ATTENTION_MAX_DIM + c, four[i]);
        }
        for (; c < columns; c++) {
            for (int32_t i = 0; i < 4; i++) rows[(j + i) * ATTENTION_MAX_DIM + c] = panel[c * ATTENTION_PANEL + i];
        }
    }
}

/* Turns panels of sixteen columns, [capacity][16], into rows; `next` floats lie from one panel to the next. */
static void load_value_panels(float *rows, const float *x, int32_t next, int32_t count, int32_t columns) {
    for (int32_t c = 0; c < columns; c += 4) {
        const float *panel = x + c / ATTENTION_PANEL * next + c % ATTENTION_PANEL;
        for (int32_t j = 0; j < count; j++) {
            store_f32x4(rows + j * ATTENTION_MAX_DIM + c, load_f32x4(panel + j * ATTENTION_PANEL));
        }
    }
}

struct stored_block load_block(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               int32_t key_head, int32_t key, int32_t keys) {
    int32_t k_at = key_head * args->k_head_stride + key * args->k_stride;
    int32_t v_at = key_head * args->v_head_stride + key * args->v_stride;
    const float *k = args->k, *v = args->v;
    if (args->storage == STORED_ROWS) {
        return (struct stored_block){k + k_at, v + v_at, args->k_stride, args->v_stride};
    }
    if (args->storage == STORED_PANELS) {
        v += key_head * args->v_head_stride + key * ATTENTION_PANEL;
        load_panels(w->k_rows, k + k_at, keys, args->dim);
        load_value_panels(w->v_rows, v, args->capacity * ATTENTION_PANEL, keys, args->value_dim);
        return (struct stored_block){w->k_rows, w->v_rows, ATTENTION_MAX_DIM, ATTENTION_MAX_DIM};
    }
    load_halves(w->k_rows, (const int16_t *)args->k + k_at, args->k_stride, keys, args->dim);
    load_halves(w->v_rows, (const int16_t *)args->v + v_at, args->v_stride, keys, args->value_dim);
    return (struct stored_block){w->k_rows, w->v_rows, ATTENTION_MAX_DIM, ATTENTION_MAX_DIM};
}
