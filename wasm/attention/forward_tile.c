/* The computations on one tile of scores: see forward_tile.h.
 *
 * Scores are stored transposed, as scores[key][8 queries]. No step then needs a sum across the lanes of a vector,
 * and the weights are already the packed operand of the product with V. */
#include "forward_tile.h"

#include "../shared/vector_math.h"
#include "workspace.h"

void weigh(float *scores, float *max, float *sum, float *correction, int32_t keys) {
    f32x4 old = load_f32x4(max), m[4] = {old, old, old, old}; /* Four chains, which do not wait for each other. */
    for (int32_t j = 0; j < keys; j += 4) {
        for (int32_t i = 0; i < 4; i++) m[i] = pmax_f32x4(m[i], load_f32x4(scores + (j + i) * QUERY_GROUP));
    }
    f32x4 greatest = pmax_f32x4(pmax_f32x4(m[0], m[1]), pmax_f32x4(m[2], m[3]));
    store_f32x4(max, greatest);
    /* A query that has seen no key yet has the maximum -inf. Subtracting 0 instead makes its weights 0, not NaN. */
    f32x4 none = wasm_f32x4_eq(greatest, splat_f32x4(MINUS_INFINITY));
    f32x4 origin = wasm_v128_andnot(greatest, none);
    f32x4 shrink = exp_f32x4(sub_f32x4(old, origin));
    store_f32x4(correction, shrink);
    /* The exponentials are made in two passes: see vector_math.h. */
    float powers[ATTENTION_KEY_BLOCK * 4];
    for (int32_t j = 0; j < keys; j++) {
        float *at = scores + j * QUERY_GROUP;
        struct exp_parts parts = split_exp_f32x4(sub_f32x4(load_f32x4(at), origin), 0);
        store_f32x4(at, parts.f);
        store_f32x4(powers + j * 4, parts.power);
    }
    /* There is one sum for each remainder of the key's number divided by four. one_query.c, which has four keys in a
     * vector, adds in the same order. */
    f32x4 s[4] = {splat_f32x4(0), splat_f32x4(0), splat_f32x4(0), splat_f32x4(0)};
    for (int32_t j = 0; j < keys; j += 4) {
        for (int32_t i = 0; i < 4; i++) {
            float *at = scores + (j + i) * QUERY_GROUP;
            f32x4 e = join_exp_f32x4(load_f32x4(at), load_f32x4(powers + (j + i) * 4));
            store_f32x4(at, e);
            s[i] = add_f32x4(s[i], e);
        }
    }
    f32x4 total = add_f32x4(add_f32x4(s[0], s[2]), add_f32x4(s[1], s[3]));
    store_f32x4(sum, fma_f32x4(load_f32x4(sum), shrink, total));
}

void value_tile(float *out, const float *v, const float *weights, f32x4 low, f32x4 high, int32_t keys) {
    struct tile t = load_tile(out, QUERY_GROUP);
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = mul_f32x4(t.low[r], low);
        t.high[r] = mul_f32x4(t.high[r], high);
    }
    sweep_tile(&t, v, weights, keys);
    store_tile(out, QUERY_GROUP, &t);
}

void careful_value_tile(float *out, const float *v, const float *weights, const float *correction, const float *hidden,
                        int32_t keys) {
    for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
        for (int32_t c = 0; c < TILE_ROWS; c++) {
            float *at = out + c * QUERY_GROUP + half;
            f32x4 sum = mul_f32x4(load_f32x4(at), load_f32x4(correction + half));
            for (int32_t j = 0; j < keys; j++) {
                f32x4 seen = wasm_f32x4_ne(load_f32x4(hidden + j * QUERY_GROUP + half), splat_f32x4(MINUS_INFINITY));
                f32x4 value = wasm_v128_and(splat_f32x4(v[j * TILE_ROWS + c]), seen);
                sum = fma_f32x4(value, load_f32x4(weights + j * QUERY_GROUP + half), sum);
            }
            store_f32x4(at, sum);
        }
    }
}
