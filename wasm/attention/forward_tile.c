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
    /* There is one sum for each remainder of the key's number divided by four. one_query.c, which has four keys in a
     * vector, adds in the same order. */
    f32x4 pairs[2];
    for (int32_t pair = 0; pair < 2; pair++) {
        f32x4 s0 = splat_f32x4(0), s2 = s0;
        for (int32_t j = pair; j < keys; j += 4) {
            float *at = scores + j * QUERY_GROUP;
            f32x4 e0 = exp_f32x4(sub_f32x4(load_f32x4(at), origin));
            f32x4 e2 = exp_f32x4(sub_f32x4(load_f32x4(at + 2 * QUERY_GROUP), origin));
            store_f32x4(at, e0);
            store_f32x4(at + 2 * QUERY_GROUP, e2);
            s0 = add_f32x4(s0, e0);
            s2 = add_f32x4(s2, e2);
        }
        pairs[pair] = add_f32x4(s0, s2);
    }
    store_f32x4(sum, fma_f32x4(load_f32x4(sum), shrink, add_f32x4(pairs[0], pairs[1])));
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
