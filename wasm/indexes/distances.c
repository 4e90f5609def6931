/* Distances of one vector from many, four at a time: see distances.h.
 *
 * Each stored vector has two vectors of sums. Groups of four products are added to them alternately, and all lanes are
 * added at the end. The order of the additions is the same for every vector, so a distance does not depend on the other
 * vectors. Products of codes are summed as integers.
 */
#include "distances.h"

#include "../shared/tile.h"

enum { WIDTH = 4 }; /* Stored vectors that are compared at a time. */

/* Returns positions[at] and the next three; past the end, the last position is repeated. */
INLINE void four_positions(uint32_t four[WIDTH], const uint32_t *positions, int32_t at, int32_t count) {
    for (int r = 0; r < WIDTH; r++) four[r] = positions[at + r < count ? at + r : count - 1];
}

/* Returns the sum of the lanes of each of four vectors, in the order (x0 + x2) + (x1 + x3). */
INLINE f32x4 sum_four(f32x4 a, f32x4 b, f32x4 c, f32x4 d) {
    transpose_f32x4(&a, &b, &c, &d);
    return add_f32x4(add_f32x4(a, c), add_f32x4(b, d));
}

INLINE f32x4 add_product(f32x4 sum, f32x4 q, f32x4 x) { return fma_f32x4(q, x, sum); }

/* Adds the contribution of four numbers of the query and of a vector to their distance. */
typedef f32x4 (*add_terms)(f32x4 sum, f32x4 q, f32x4 x);

/* Adds four numbers of the query and of each vector. */
INLINE void add_four(f32x4 sums[WIDTH], const float *row, const float *const x[WIDTH], int32_t i, add_terms add) {
    f32x4 q = load_f32x4(row + i);
    f32x4 a = load_f32x4(x[0] + i), b = load_f32x4(x[1] + i), c = load_f32x4(x[2] + i), d = load_f32x4(x[3] + i);
    sums[0] = add(sums[0], q, a);
    sums[1] = add(sums[1], q, b);
    sums[2] = add(sums[2], q, c);
    sums[3] = add(sums[3], q, d);
}

INLINE f32x4 four_sums(const float *row, const float *const vectors[WIDTH], int32_t stride, add_terms add) {
    const uintptr_t never = never_an_address;
    const float *x[WIDTH] = {vectors[0], vectors[1], vectors[2], vectors[3]};
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    for (int32_t left = stride; left > 0; left -= 16) {
        PIN(t, row, never);
        add_four(t.low, row, x, 0, add);
        PIN(t, row + 4, never);
        add_four(t.high, row, x, 4, add);
        PIN(t, row + 8, never);
        add_four(t.low, row, x, 8, add);
        PIN(t, row + 12, never);
        add_four(t.high, row, x, 12, add);
        row += 16;
        for (int r = 0; r < WIDTH; r++) x[r] += 16;
        __asm__ volatile("" : "+r"(row), "+r"(x[0]), "+r"(x[1]), "+r"(x[2]), "+r"(x[3]));
    }
    for (int r = 0; r < WIDTH; r++) t.low[r] = add_f32x4(t.low[r], t.high[r]);
    return sum_four(t.low[0], t.low[1], t.low[2], t.low[3]);
}

INLINE void each_four_rows(float *out, const struct vectors *v, const float *row, const uint32_t *positions,
                           int32_t count, add_terms add) {
    int32_t stride = v->stride, metric = v->metric;
    for (int32_t at = 0; at < count; at += WIDTH) {
        uint32_t four[WIDTH];
        four_positions(four, positions, at, count);
        const float *x[WIDTH];
        for (int r = 0; r < WIDTH; r++) x[r] = v->rows + (size_t)four[r] * stride;
        f32x4 distance = four_sums(row, x, stride, add);
        /* Use 0 - x, which never gives -0, instead of -x. */
        if (metric != METRIC_L2) distance = sub_f32x4(splat_f32x4(0), distance);
        if (metric == METRIC_COSINE) {
            distance = pmin_f32x4(pmax_f32x4(distance, splat_f32x4(-1.0f)), splat_f32x4(1.0f));
        }
        store_f32x4(out + at, distance);
    }
}

void row_distances(float *out, const struct vectors *v, const float *row, const uint32_t *positions, int32_t count) {
    if (v->metric == METRIC_L2) {
        each_four_rows(out, v, row, positions, count, add_square_of_difference);
    } else {
        each_four_rows(out, v, row, positions, count, add_product);
    }
}

/* Adds the products of eight codes of the query and of each vector. */
INLINE void add_eight(v128_t sums[WIDTH], const int16_t *codes, const int8_t *const x[WIDTH], int32_t i) {
    v128_t q = wasm_v128_load(codes + i);
    for (int r = 0; r < WIDTH; r++) {
        sums[r] = wasm_i32x4_add(sums[r], wasm_i32x4_dot_i16x8(q, wasm_i16x8_load8x8(x[r] + i)));
    }
}

INLINE v128_t four_code_sums(const int16_t *codes, const int8_t *const vectors[WIDTH], int32_t stride) {
    const int8_t *x[WIDTH] = {vectors[0], vectors[1], vectors[2], vectors[3]};
    v128_t sum[WIDTH];
    for (int r = 0; r < WIDTH; r++) sum[r] = wasm_i32x4_splat(0);
    for (int32_t left = stride; left > 0; left -= 16) {
        add_eight(sum, codes, x, 0);
        add_eight(sum, codes, x, 8);
        codes += 16;
        for (int r = 0; r < WIDTH; r++) x[r] += 16;
        __asm__ volatile("" : "+r"(codes), "+r"(x[0]), "+r"(x[1]), "+r"(x[2]), "+r"(x[3]));
    }
    transpose_f32x4(&sum[0], &sum[1], &sum[2], &sum[3]);
    return wasm_i32x4_add(wasm_i32x4_add(sum[0], sum[1]), wasm_i32x4_add(sum[2], sum[3]));
}

INLINE f32x4 gather_four(const float *x, const uint32_t four[WIDTH]) {
    return wasm_f32x4_make(x[four[0]], x[four[1]], x[four[2]], x[four[3]]);
}

void code_distances(float *out, const struct vectors *v, const struct point *p, const uint32_t *positions,
                    int32_t count) {
    for (int32_t at = 0; at < count; at += WIDTH) {
        uint32_t four[WIDTH];
        four_positions(four, positions, at, count);
        const int8_t *x[WIDTH];
        for (int r = 0; r < WIDTH; r++) x[r] = v->codes + (size_t)four[r] * v->stride;
        f32x4 dot = wasm_f32x4_convert_i32x4(four_code_sums(p->codes, x, v->stride));
        f32x4 unit = mul_f32x4(gather_four(v->scales, four), splat_f32x4(p->scale));
        f32x4 product = mul_f32x4(dot, unit);
        f32x4 distance = sub_f32x4(splat_f32x4(0), product);
        if (v->metric == METRIC_L2) {
            f32x4 squares = add_f32x4(gather_four(v->squares, four), splat_f32x4(p->square));
            distance = sub_f32x4(squares, add_f32x4(product, product));
        }
        store_f32x4(out + at, distance);
    }
}
