/* The steps between scores and weights: the softcap first, then ALiBi and masks. See mask.h.
 *
 * Functions with a parameter `across` process scores[keys][across], with that many queries side by side. */
#include "mask.h"

#include "../shared/vector_math.h"

void cap_scores(float *scores, float softcap, int32_t count) {
    f32x4 cap = splat_f32x4(softcap), inverse = splat_f32x4(1.0f / softcap);
    for (int32_t i = 0; i < count; i += 4) {
        store_f32x4(scores + i, mul_f32x4(cap, tanh_f32x4(mul_f32x4(load_f32x4(scores + i), inverse))));
    }
}

/* score -= slope * |distance from the diagonal| (Press, Smith & Lewis, "Train Short, Test Long", 2021) */
INLINE void add_alibi(float *scores, const struct attention_f32_arguments *args, struct attention_place at,
                      int32_t across) {
    float slope = args->alibi[at.head];
    for (int32_t j = 0; j < at.keys; j++) {
        for (int32_t i = 0; i < across; i++) {
            int32_t distance = at.query + i + args->diagonal - (at.key + j);
            scores[j * across + i] -= slope * (float)(distance < 0 ? -distance : distance);
        }
    }
}

/* Visits only the keys that are hidden: a block that the diagonal crosses has few of them. */
INLINE void hide_off_diagonal(float *scores, const struct attention_f32_arguments *args, struct attention_place at,
                              int32_t across) {
    for (int32_t i = 0; i < across; i++) {
        int32_t centre = at.query + i + args->diagonal - at.key;
        int32_t first_seen = centre - args->before, past_seen = centre + args->after + 1;
        for (int32_t j = 0; j < first_seen && j < at.keys; j++) scores[j * across + i] = MINUS_INFINITY;
        for (int32_t j = past_seen > 0 ? past_seen : 0; j < at.keys; j++) scores[j * across + i] = MINUS_INFINITY;
    }
}

/* Returns a bit for each of sixteen keys, from the j-th on: 1 if the row of a boolean mask hides it. */
INLINE uint32_t hidden_sixteen(const uint8_t *row, int32_t stride, int32_t j, int32_t keys) {
    if (stride == 1 && j + 16 <= keys) {
        return (uint32_t)wasm_i8x16_bitmask(wasm_i8x16_eq(wasm_v128_load(row + j), wasm_i8x16_const_splat(0)));
    }
    uint32_t hidden = 0;
    for (int32_t i = 0; i < 16 && j + i < keys; i++) hidden |= (uint32_t)!row[(j + i) * stride] << i;
    return hidden;
}

/* Returns row i of a boolean mask, counted from the place's first query, at the place's first key. */
INLINE const uint8_t *boolean_row(const struct attention_f32_arguments *args, struct attention_place at, int32_t i) {
    return (const uint8_t *)args->mask + at.head * args->mask_head_stride + (at.query + i) * args->mask_query_stride +
           at.key * args->mask_key_stride;
}

INLINE void hide_where_false(float *scores, const struct attention_f32_arguments *args, struct attention_place at,
                             int32_t across) {
    for (int32_t i = 0; i < at.queries; i++) {
        const uint8_t *row = boolean_row(args, at, i);
        for (int32_t j = 0; j < at.keys; j += 16) {
            uint32_t hidden = hidden_sixteen(row, args->mask_key_stride, j, at.keys);
            for (; hidden; hidden &= hidden - 1) {
                scores[(j + __builtin_ctz(hidden)) * across + i] = MINUS_INFINITY;
            }
        }
    }
}

int mask_hides_all(const struct attention_f32_arguments *args, struct attention_place at) {
    if (args->mask_kind != MASK_BOOLEAN) return 0;
    for (int32_t i = 0; i < at.queries; i++) {
        const uint8_t *row = boolean_row(args, at, i);
        for (int32_t j = 0; j < at.keys; j += 16) {
            int32_t count = at.keys - j < 16 ? at.keys - j : 16;
            uint32_t all = (1u << count) - 1;
            if (hidden_sixteen(row, args->mask_key_stride, j, at.keys) != all) return 0;
        }
    }
    return 1;
}

/* A key whose mask is -inf is hidden, even if its score is NaN or infinite. */
INLINE void add_mask(float *scores, const struct attention_f32_arguments *args, struct attention_place at,
                     int32_t across) {
    const float *mask = (const float *)args->mask + at.head * args->mask_head_stride;
    for (int32_t i = 0; i < at.queries; i++) {
        const float *row = mask + (at.query + i) * args->mask_query_stride + at.key * args->mask_key_stride;
        for (int32_t j = 0; j < at.keys; j++) {
            float bias = row[j * args->mask_key_stride];
            float *score = scores + j * across + i;
            *score = bias == MINUS_INFINITY ? bias : *score + bias;
        }
    }
}

INLINE void mask_across(float *scores, const struct attention_f32_arguments *args, struct attention_place at,
                        int32_t across) {
    if (args->alibi) add_alibi(scores, args, at, across);
    if (args->mask_kind == MASK_BOOLEAN) hide_where_false(scores, args, at, across);
    if (args->mask_kind == MASK_ADDITIVE) add_mask(scores, args, at, across);
    if (!diagonal_hides_nothing(args, at)) hide_off_diagonal(scores, args, at, across);
}

void mask_scores(float *scores, const struct attention_f32_arguments *args, struct attention_place at) {
    mask_across(scores, args, at, QUERY_GROUP);
}

void mask_row(float *scores, const struct attention_f32_arguments *args, struct attention_place at) {
    mask_across(scores, args, at, 1);
}
