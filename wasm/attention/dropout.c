/* Dropout: with probability p a weight becomes zero, otherwise it is divided by 1 - p.
 *
 * The random number of (batch, head, query i, key j) is word j mod 4 of Philox with the counter (j / 4, i, head,
 * batch) and the seed as key. If it is below args->dropout, which is p 2^32, the weight is dropped. The number
 * depends only on the seed and the position, so the result does not depend on how the work is split. */
#include "dropout.h"

#include "../shared/philox.h"

typedef v128_t u32x4;

/* Multiplies four numbers by a factor and returns both halves of each 64-bit product. */
INLINE void multiply_wide(u32x4 x, uint32_t factor, u32x4 *high, u32x4 *low) {
    u32x4 factors = wasm_u32x4_splat(factor);
    v128_t first = wasm_u64x2_extmul_low_u32x4(x, factors), last = wasm_u64x2_extmul_high_u32x4(x, factors);
    *low = wasm_i32x4_shuffle(first, last, 0, 2, 4, 6);
    *high = wasm_i32x4_shuffle(first, last, 1, 3, 5, 7);
}

/* Runs Philox on four counters, one in each lane: counter[w] holds word w of all four. */
static void philox(u32x4 counter[4], uint32_t key_low, uint32_t key_high) {
    for (int round = 0; round < PHILOX_ROUNDS; round++) {
        u32x4 high0, low0, high1, low1;
        multiply_wide(counter[0], PHILOX_M0, &high0, &low0);
        multiply_wide(counter[2], PHILOX_M1, &high1, &low1);
        u32x4 first = wasm_v128_xor(wasm_v128_xor(high1, counter[1]), wasm_u32x4_splat(key_low));
        u32x4 third = wasm_v128_xor(wasm_v128_xor(high0, counter[3]), wasm_u32x4_splat(key_high));
        counter[0] = first;
        counter[1] = low1;
        counter[2] = third;
        counter[3] = low0;
        key_low += PHILOX_W0;
        key_high += PHILOX_W1;
    }
}

void drop_weights(float *weights, const struct attention_f32_arguments *args, struct attention_place at) {
    f32x4 scale = splat_f32x4(args->kept_scale);
    u32x4 threshold = wasm_u32x4_splat(args->dropout);
    for (int32_t j = 0; j < at.keys; j += 4) {
        for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
            uint32_t i = args->first_query + (uint32_t)(at.query + half);
            u32x4 words[4] = {wasm_u32x4_splat((uint32_t)(at.key + j) / 4), wasm_u32x4_make(i, i + 1, i + 2, i + 3),
                              wasm_u32x4_splat(args->first_head + (uint32_t)at.head), wasm_u32x4_splat(args->batch)};
            philox(words, args->seed_low, args->seed_high);
            for (int32_t word = 0; word < 4 && j + word < at.keys; word++) {
                float *weight = weights + (j + word) * QUERY_GROUP + half;
                u32x4 kept = wasm_u32x4_ge(words[word], threshold);
                store_f32x4(weight, wasm_v128_and(mul_f32x4(load_f32x4(weight), scale), kept));
            }
        }
    }
}

void drop_row(float *weights, const struct attention_f32_arguments *args, struct attention_place at) {
    f32x4 scale = splat_f32x4(args->kept_scale);
    u32x4 threshold = wasm_u32x4_splat(args->dropout);
    for (int32_t j = 0; j < at.keys; j += 16) {
        uint32_t run = (uint32_t)(at.key + j) / 4;
        u32x4 words[4] = {wasm_u32x4_make(run, run + 1, run + 2, run + 3),
                          wasm_u32x4_splat(args->first_query + (uint32_t)at.query),
                          wasm_u32x4_splat(args->first_head + (uint32_t)at.head), wasm_u32x4_splat(args->batch)};
        philox(words, args->seed_low, args->seed_high);
        transpose_f32x4(&words[0], &words[1], &words[2], &words[3]);
        for (int32_t i = 0; i < 4; i++) {
            float *four = weights + j + 4 * i;
            u32x4 kept = wasm_u32x4_ge(words[i], threshold);
            store_f32x4(four, wasm_v128_and(mul_f32x4(load_f32x4(four), scale), kept));
        }
    }
}
