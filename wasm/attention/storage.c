/* Converting keys and values that are not stored as rows of floats: see storage.h. */
#include "storage.h"

/* Converts four numbers of IEEE 754 half precision, each in the low half of its lane. After a shift, the exponent
 * and fraction of a half form a float that is too small by a factor of 2^112. In infinity and NaN all exponent bits
 * are set, so they are also set in the float. */
INLINE f32x4 halves_f32x4(v128_t x) {
    v128_t moved = wasm_v128_and(wasm_i32x4_shl(x, 13), wasm_u32x4_const_splat(0x8fffe000));
    v128_t exponent = wasm_u32x4_const_splat(0x0f800000);
    v128_t special = wasm_i32x4_eq(wasm_v128_and(moved, exponent), exponent);
    f32x4 number = mul_f32x4(moved, splat_f32x4(0x1p112f));
    return wasm_v128_or(number, wasm_v128_and(special, wasm_u32x4_const_splat(0x7f800000)));
}

void widen_halves(float *to, const int16_t *x, int32_t count) {
    for (int32_t i = 0; i < count; i += 4) store_f32x4(to + i, halves_f32x4(wasm_i32x4_load16x4(x + i)));
}

/* Loads four numbers of a panel, floats or halves, from the i-th on. */
INLINE f32x4 load_stored(const void *x, int32_t i, int halves) {
    return halves ? halves_f32x4(wasm_i32x4_load16x4((const int16_t *)x + i)) : load_f32x4((const float *)x + i);
}

/* Converts panels of sixteen keys, [dim][16], to rows, from the `at`-th number on. */
INLINE void load_panels(float *rows, const void *x, int32_t at, int32_t count, int32_t columns, int halves) {
    for (int32_t j = 0; j < count; j += 4) {
        int32_t panel = at + j / ATTENTION_PANEL * ATTENTION_PANEL * columns + j % ATTENTION_PANEL;
        for (int32_t c = 0; c < columns; c += 4) {
            f32x4 four[4];
            for (int32_t i = 0; i < 4; i++) {
                int32_t d = c + i < columns ? c + i : columns - 1;
                four[i] = load_stored(x, panel + d * ATTENTION_PANEL, halves);
            }
            transpose_f32x4(&four[0], &four[1], &four[2], &four[3]);
            for (int32_t i = 0; i < 4; i++) store_f32x4(rows + (j + i) * ATTENTION_MAX_DIM + c, four[i]);
        }
    }
}

/* Converts panels of sixteen columns, [capacity][16], to rows; panels are `next` numbers apart. */
INLINE void load_value_panels(float *rows, const void *x, int32_t at, int32_t next, int32_t count, int32_t columns,
                              int halves) {
    for (int32_t c = 0; c < columns; c += 4) {
        int32_t panel = at + c / ATTENTION_PANEL * next + c % ATTENTION_PANEL;
        for (int32_t j = 0; j < count; j++) {
            store_f32x4(rows + j * ATTENTION_MAX_DIM + c, load_stored(x, panel + j * ATTENTION_PANEL, halves));
        }
    }
}

struct stored_block load_block(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               int32_t key_head, int32_t key, int32_t keys) {
    int32_t k_at = key_head * args->k_head_stride + key * args->k_stride, dim = args->dim;
    int32_t v_at = key_head * args->v_head_stride, value_dim = args->value_dim;
    if (args->storage == STORED_ROWS) {
        v_at += key * args->v_stride;
        return (struct stored_block){(const float *)args->k + k_at, (const float *)args->v + v_at, args->k_stride,
                                     args->v_stride};
    }
    int32_t next = args->capacity * ATTENTION_PANEL;
    v_at += key * ATTENTION_PANEL;
    if (args->storage == STORED_HALVES) {
        load_panels(w->k_rows, args->k, k_at, keys, dim, 1);
        load_value_panels(w->v_rows, args->v, v_at, next, keys, value_dim, 1);
    } else {
        load_panels(w->k_rows, args->k, k_at, keys, dim, 0);
        load_value_panels(w->v_rows, args->v, v_at, next, keys, value_dim, 0);
    }
    return (struct stored_block){w->k_rows, w->v_rows, ATTENTION_MAX_DIM, ATTENTION_MAX_DIM};
}
