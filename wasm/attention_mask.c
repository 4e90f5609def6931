/* Which scores take part. */
#include "attention.h"

/* Key j is hidden from query i where j > i + offset. */
static void hide_later_keys(float *scores, struct attention_place at, int32_t offset) {
    for (int32_t j = 0; j < at.keys; j++) {
        for (int32_t i = 0; i < QUERY_GROUP; i++) {
            if (at.key + j > at.query + i + offset) scores[j * QUERY_GROUP + i] = -__builtin_inff();
        }
    }
}

static void hide_where_false(float *scores, const struct attention_f32_arguments *args, struct attention_place at) {
    const uint8_t *mask = (const uint8_t *)args->mask + at.head * args->mask_head_stride;
    for (int32_t i = 0; i < at.queries; i++) {
        const uint8_t *row = mask + (at.query + i) * args->mask_query_stride + at.key * args->mask_key_stride;
        for (int32_t j = 0; j < at.keys; j++) {
            if (!row[j * args->mask_key_stride]) scores[j * QUERY_GROUP + i] = -__builtin_inff();
        }
    }
}

/* A key with mask -inf is hidden, whatever its score is. */
static void add_mask(float *scores, const struct attention_f32_arguments *args, struct attention_place at) {
    const float *mask = (const float *)args->mask + at.head * args->mask_head_stride;
    for (int32_t i = 0; i < at.queries; i++) {
        const float *row = mask + (at.query + i) * args->mask_query_stride + at.key * args->mask_key_stride;
        for (int32_t j = 0; j < at.keys; j++) {
            float bias = row[j * args->mask_key_stride];
            float *score = scores + j * QUERY_GROUP + i;
            *score = bias == -__builtin_inff() ? bias : *score + bias;
        }
    }
}

void mask_scores(float *scores, const struct attention_f32_arguments *args, struct attention_place at) {
    if (args->mask_kind == MASK_BOOLEAN) hide_where_false(scores, args, at);
    if (args->mask_kind == MASK_ADDITIVE) add_mask(scores, args, at);
    if (!causal_hides_nothing(args, at)) hide_later_keys(scores, at, args->causal_offset);
}
