/* The two products of attention for one query, with float keys and values: see one_query_products.h.
 *
 * In the first product, the lanes of a vector are four keys; in the second, four columns of values. Each score is
 * one chain of multiply-adds over the dimensions, and each output is one chain over the keys, as in tile.h. */
#include "one_query_products.h"

#include "four_vectors.h"

/* Adds to s the products of four dimensions of q with four keys, stored as rows. */
INLINE f32x4 score_four(f32x4 s, const float *row, int32_t stride, const struct four *q) {
    f32x4 a = load_f32x4(row), b = load_f32x4(row + stride);
    f32x4 c = load_f32x4(row + 2 * stride), d = load_f32x4(row + 3 * stride);
    transpose_f32x4(&a, &b, &c, &d);
    s = fma_f32x4(a, q->x[0], s);
    s = fma_f32x4(b, q->x[1], s);
    s = fma_f32x4(c, q->x[2], s);
    return fma_f32x4(d, q->x[3], s);
}

/* Scores sixteen keys at once, so that the processor works on four chains at a time. */
static NOINLINE void score_sixteen(float *scores, const float *q, const float *k, int32_t stride, int32_t dim) {
    const uintptr_t never = never_an_address;
    struct four s = {{splat_f32x4(0), splat_f32x4(0), splat_f32x4(0), splat_f32x4(0)}};
    int32_t left = dim;
    for (; left >= 4; left -= 4, q += 4, k += 4) {
        struct four splats = splat_four(load_f32x4(q));
        s.x[0] = score_four(s.x[0], k, stride, &splats);
        PIN_FOUR(s, k, never);
        s.x[1] = score_four(s.x[1], k + 4 * stride, stride, &splats);
        PIN_FOUR(s, k, never);
        s.x[2] = score_four(s.x[2], k + 8 * stride, stride, &splats);
        PIN_FOUR(s, k, never);
        s.x[3] = score_four(s.x[3], k + 12 * stride, stride, &splats);
        PIN_FOUR(s, k, never);
    }
    store_four(scores, &s);
    for (; left > 0; left--, q++, k++) {
        for (int32_t j = 0; j < 16; j += 4) {
            const float *row = k + j * stride;
            f32x4 column = wasm_f32x4_make(row[0], row[stride], row[2 * stride], row[3 * stride]);
            store_f32x4(scores + j, fma_f32x4(column, splat_f32x4(*q), load_f32x4(scores + j)));
        }
    }
}

/* Scores up to four keys; the scores past the last key are meaningless. */
static void score_few(float *scores, const float *q, const float *k, int32_t stride, int32_t dim, int32_t keys) {
    const float *rows[4];
    for (int32_t i = 0; i < 4; i++) rows[i] = k + (i < keys ? i : 0) * stride;
    f32x4 s = splat_f32x4(0.0f);
    for (int32_t d = 0; d < dim; d++) {
        f32x4 column = wasm_f32x4_make(rows[0][d], rows[1][d], rows[2][d], rows[3][d]);
        s = fma_f32x4(column, splat_f32x4(q[d]), s);
    }
    store_f32x4(scores, s);
}

NOINLINE void score_panel(float *scores, const float *q, const float *k, int32_t dim) {
    const uintptr_t never = never_an_address;
    struct four s = {{splat_f32x4(0), splat_f32x4(0), splat_f32x4(0), splat_f32x4(0)}};
    int32_t left = dim;
    for (; left >= 4; left -= 4, q += 4, k += 4 * ATTENTION_PANEL) {
        struct four splats = splat_four(load_f32x4(q));
        for (int i = 0; i < 4; i++) s.x[i] = fma_f32x4(load_f32x4(k + 4 * i), splats.x[0], s.x[i]);
        for (int i = 0; i < 4; i++) s.x[i] = fma_f32x4(load_f32x4(k + 16 + 4 * i), splats.x[1], s.x[i]);
        PIN_FOUR(s, k, never);
        for (int i = 0; i < 4; i++) s.x[i] = fma_f32x4(load_f32x4(k + 32 + 4 * i), splats.x[2], s.x[i]);
        for (int i = 0; i < 4; i++) s.x[i] = fma_f32x4(load_f32x4(k + 48 + 4 * i), splats.x[3], s.x[i]);
        PIN_FOUR(s, k, never);
    }
    for (; left > 0; left--, q++, k += ATTENTION_PANEL) {
        for (int i = 0; i < 4; i++) s.x[i] = fma_f32x4(load_f32x4(k + 4 * i), splat_f32x4(*q), s.x[i]);
    }
    store_four(scores, &s);
}

void score_rows(float *scores, const float *q, const float *k, int32_t stride, int32_t dim, int32_t keys) {
    int32_t j = 0;
    for (; j + 16 <= keys; j += 16) score_sixteen(scores + j, q, k + j * stride, stride, dim);
    for (; j < keys; j += 4) score_few(scores + j, q, k + j * stride, stride, dim, keys - j);
}

/* Adds the weighted values of sixteen columns. */
static NOINLINE void add_sixteen(float *out, const float *weights, const float *v, int32_t stride, int32_t keys,
                                 f32x4 shrink) {
    const uintptr_t never = never_an_address;
    struct four sum = load_four(out);
    for (int i = 0; i < 4; i++) sum.x[i] = mul_f32x4(sum.x[i], shrink);
    int32_t j = 0;
    for (; j + 4 <= keys; j += 4, v += 4 * stride) {
        struct four splats = splat_four(load_f32x4(weights + j));
        for (int i = 0; i < 4; i++) sum.x[i] = fma_f32x4(load_f32x4(v + 4 * i), splats.x[0], sum.x[i]);
        for (int i = 0; i < 4; i++) sum.x[i] = fma_f32x4(load_f32x4(v + stride + 4 * i), splats.x[1], sum.x[i]);
        PIN_FOUR(sum, v, never);
        for (int i = 0; i < 4; i++) sum.x[i] = fma_f32x4(load_f32x4(v + 2 * stride + 4 * i), splats.x[2], sum.x[i]);
        for (int i = 0; i < 4; i++) sum.x[i] = fma_f32x4(load_f32x4(v + 3 * stride + 4 * i), splats.x[3], sum.x[i]);
        PIN_FOUR(sum, v, never);
    }
    for (; j < keys; j++, v += stride) {
        f32x4 weight = splat_f32x4(weights[j]);
        for (int i = 0; i < 4; i++) sum.x[i] = fma_f32x4(load_f32x4(v + 4 * i), weight, sum.x[i]);
    }
    store_four(out, &sum);
}

/* Adds the weighted values of twice sixteen columns, which begin `next` floats apart. With two streams of
 * memory at a time, the processor reads further ahead than with one after the other. */
static NOINLINE void add_thirty_two(float *out, const float *weights, const float *v, int32_t stride, int32_t next,
                                    int32_t keys, f32x4 shrink) {
    const uintptr_t never = never_an_address;
    const float *w = v + next;
    struct four low = load_four(out), high = load_four(out + 16);
    for (int i = 0; i < 4; i++) {
        low.x[i] = mul_f32x4(low.x[i], shrink);
        high.x[i] = mul_f32x4(high.x[i], shrink);
    }
    for (int32_t left = keys; left > 0; left--) {
        const f32x4 weight = splat_f32x4(*weights);
        for (int i = 0; i < 4; i++) low.x[i] = fma_f32x4(load_f32x4(v + 4 * i), weight, low.x[i]);
        PIN_FOUR(low, v, never);
        for (int i = 0; i < 4; i++) high.x[i] = fma_f32x4(load_f32x4(w + 4 * i), weight, high.x[i]);
        weights++;
        v += stride;
        w += stride;
        __asm__ volatile("" : "+r"(weights), "+r"(v), "+r"(w));
    }
    store_four(out, &low);
    store_four(out + 16, &high);
}

/* Adds the weighted values of up to four columns. */
static void add_few(float *out, const float *weights, const float *v, int32_t stride, int32_t keys, f32x4 shrink,
                    int32_t columns) {
    f32x4 sum = mul_f32x4(load_f32x4(out), shrink);
    for (int32_t j = 0; j < keys; j++, v += stride) {
        sum = fma_f32x4(load_at_most_f32x4(v, columns), splat_f32x4(weights[j]), sum);
    }
    store_f32x4(out, sum);
}

void add_columns(float *out, const float *weights, const float *v, int32_t stride, int32_t next, int32_t keys,
                 f32x4 shrink, int32_t columns) {
    int32_t c = 0;
    for (; c + 2 * ATTENTION_PANEL <= columns; c += 2 * ATTENTION_PANEL, v += 2 * next) {
        add_thirty_two(out + c, weights, v, stride, next, keys, shrink);
    }
    for (; c + ATTENTION_PANEL <= columns; c += ATTENTION_PANEL, v += next) {
        add_sixteen(out + c, weights, v, stride, keys, shrink);
    }
    for (; c < columns; c += 4, v += 4) add_few(out + c, weights, v, stride, keys, shrink, columns - c);
}
