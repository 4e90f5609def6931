/* Screening rows before they are scored: see top_k_screen.h.
 *
 * Loops over columns keep sums in lanes, which are added afterwards. A loop stops before the last columns, which
 * add_rest adds. When rows are read for the first time, they are read one after another, because sequential access
 * to memory is fastest. */
#include "top_k_screen.h"

#include "../abi.h"

/* Squares or products of components may underflow or overflow if a squared length is outside these limits. */
#define LEAST_SQUARE 0x1p-60f
#define GREATEST_SQUARE 0x1p100f

enum { LANES = 4, STEP = 32 /* Columns of one step of sweep_row and sweep_squares. */ };

/* Returns squared lengths, with NaN for those that are too small or too great for the bounds. */
INLINE f32x4 usable(f32x4 squares) {
    v128_t fits = wasm_v128_and(wasm_f32x4_ge(squares, splat_f32x4(LEAST_SQUARE)),
                                wasm_f32x4_le(squares, splat_f32x4(GREATEST_SQUARE)));
    return wasm_v128_bitselect(squares, splat_f32x4(CANONICAL_NAN), fits);
}

INLINE f32x4 sum_four(const f32x4 x[4]) { return add_f32x4(add_f32x4(x[0], x[1]), add_f32x4(x[2], x[3])); }

/* Returns the sums of the lanes of four vectors, which are eight floats apart. */
INLINE f32x4 sum_lanes(const float *sums) {
    f32x4 x[4];
    for (int r = 0; r < 4; r++) x[r] = load_f32x4(sums + 8 * r);
    transpose_f32x4(&x[0], &x[1], &x[2], &x[3]);
    return sum_four(x);
}

INLINE void add_rest(float *sums, f32x4 a, f32x4 b) { store_f32x4(sums, fma_f32x4(a, b, load_f32x4(sums))); }

/* Adds sixteen columns of a row: its products with a query to t->low, its squares to t->high. */
INLINE void add_row(struct tile *t, const float *q, const float *x) {
    for (int i = 0; i < 4; i++) {
        f32x4 four = load_f32x4(x + LANES * i);
        t->low[i] = fma_f32x4(load_f32x4(q + LANES * i), four, t->low[i]);
        t->high[i] = fma_f32x4(four, four, t->high[i]);
    }
}

/* sums[4][8] = eight vectors of sums over a row: alternately its products with a query and its squares. */
static NOINLINE void sweep_row(float *sums, const float *q, const float *x, int32_t steps) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps > 0; steps--) {
        PIN(t, x, never);
        add_row(&t, q, x);
        PIN(t, x + STEP / 2, never);
        add_row(&t, q + STEP / 2, x + STEP / 2);
        q += STEP, x += STEP;
        __asm__ volatile("" : "+r"(q), "+r"(x));
    }
    store_tile(sums, TILE_COLUMNS, &t);
}

/* sums[4][8] = eight vectors of sums over the squares of a row. */
static NOINLINE void sweep_squares(float *sums, const float *x, int32_t steps) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps > 0; steps--) {
        PIN(t, x, never);
        for (int i = 0; i < 4; i++) {
            f32x4 a = load_f32x4(x + 2 * LANES * i), b = load_f32x4(x + 2 * LANES * i + LANES);
            t.low[i] = fma_f32x4(a, a, t.low[i]);
            t.high[i] = fma_f32x4(b, b, t.high[i]);
        }
        x += STEP;
        __asm__ volatile("" : "+r"(x));
    }
    store_tile(sums, TILE_COLUMNS, &t);
}

/* Adds four columns of two rows: their products with four queries. */
INLINE void add_two_rows(struct tile *t, const float *q, const float *x, const float *y) {
    f32x4 a = load_f32x4(x), b = load_f32x4(y);
    for (int r = 0; r < TILE_ROWS; r++) {
        f32x4 query = load_f32x4(q + LANES * r);
        t->low[r] = fma_f32x4(query, a, t->low[r]);
        t->high[r] = fma_f32x4(query, b, t->high[r]);
    }
}

/* sums[4][8] = the vectors of sums of four queries' products with two rows, over `steps` steps of four columns. */
static NOINLINE void sweep_two_rows(float *sums, const float *q, const float *x, int32_t dim, int32_t steps) {
    const float *y = x + dim;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps >= 4; steps -= 4) {
        PIN(t, x, never);
        add_two_rows(&t, q, x, y);
        PIN(t, x + 4, never);
        add_two_rows(&t, q + 16, x + 4, y + 4);
        PIN(t, x + 8, never);
        add_two_rows(&t, q + 32, x + 8, y + 8);
        PIN(t, x + 12, never);
        add_two_rows(&t, q + 48, x + 12, y + 12);
        q += 64, x += 16, y += 16;
        __asm__ volatile("" : "+r"(q), "+r"(x), "+r"(y));
    }
    for (; steps > 0; steps--, q += 16, x += 4, y += 4) add_two_rows(&t, q, x, y);
    store_tile(sums, TILE_COLUMNS, &t);
}

/* Computes the products of a query with four rows, and the squared lengths of the rows. */
static void multiply_four_rows(float *products, float *squares, const float *q, const float *x, int32_t dim) {
    float sums[TILE_ROWS * TILE_COLUMNS], swept[TILE_ROWS * TILE_COLUMNS];
    for (int32_t r = 0; r < TILE_ROWS; r++, x += dim) {
        sweep_row(swept, q, x, dim / STEP);
        struct tile t = load_tile(swept, TILE_COLUMNS);
        float *product = sums + TILE_COLUMNS * r, *square = product + LANES;
        store_f32x4(product, sum_four(t.low));
        store_f32x4(square, sum_four(t.high));
        for (int32_t j = dim / STEP * STEP; j < dim; j += LANES) {
            f32x4 rest = load_at_most_f32x4(x + j, dim - j);
            add_rest(product, load_f32x4(q + j), rest);
            add_rest(square, rest, rest);
        }
    }
    store_f32x4(products, sum_lanes(sums));
    store_f32x4(squares, usable(sum_lanes(sums + LANES)));
}

/* Computes the squared lengths of four rows. */
static void square_four_rows(float *squares, const float *x, int32_t dim) {
    float sums[TILE_ROWS * TILE_COLUMNS], swept[TILE_ROWS * TILE_COLUMNS];
    for (int32_t r = 0; r < TILE_ROWS; r++, x += dim) {
        sweep_squares(swept, x, dim / STEP);
        struct tile t = load_tile(swept, TILE_COLUMNS);
        float *square = sums + TILE_COLUMNS * r;
        store_f32x4(square, add_f32x4(sum_four(t.low), sum_four(t.high)));
        for (int32_t j = dim / STEP * STEP; j < dim; j += LANES) {
            f32x4 rest = load_at_most_f32x4(x + j, dim - j);
            add_rest(square, rest, rest);
        }
    }
    store_f32x4(squares, usable(sum_lanes(sums)));
}

/* Computes the products of four queries with two rows. */
static void multiply_two_rows(f32x4 products[2], const float *q, const float *x, int32_t dim) {
    float sums[TILE_ROWS * TILE_COLUMNS];
    sweep_two_rows(sums, q, x, dim, dim / LANES);
    int32_t j = dim / LANES * LANES;
    if (j < dim) {
        f32x4 a = load_tail_f32x4(x + j, dim - j, 0), b = load_tail_f32x4(x + dim + j, dim - j, 0);
#pragma clang loop unroll(disable)
        for (int32_t r = 0; r < TILE_ROWS; r++) {
            f32x4 query = load_f32x4(q + TILE_ROWS * j + LANES * r);
            add_rest(sums + TILE_COLUMNS * r, query, a);
            add_rest(sums + TILE_COLUMNS * r + LANES, query, b);
        }
    }
    products[0] = sum_lanes(sums);
    products[1] = sum_lanes(sums + LANES);
}

void screen_queries(struct screen *s, float *room, const float *queries, int32_t count, int32_t dim, int32_t metric) {
    s->queries = room, s->count = count, s->dim = dim, s->metric = metric;
    int32_t together = count == 1 ? 1 : TILE_ROWS;
    for (int32_t i = 0; i < count || i % together; i++) {
        /* Places after the last query contain a copy of it, and reject every row. */
        const float *x = queries + (i < count ? i : count - 1) * dim;
        s->bases[i] = __builtin_inff(), s->slopes[i] = 0;
        float *to = room + i / TILE_ROWS * screened_floats(dim) + i % TILE_ROWS * LANES;
        f32x4 sum = splat_f32x4(0);
        for (int32_t j = 0; j < dim; j += LANES, to += together * LANES) {
            f32x4 four = load_at_most_f32x4(x + j, dim - j);
            store_f32x4(to, four);
            sum = fma_f32x4(four, four, sum);
        }
        s->squares[i] = wasm_f32x4_extract_lane(usable(splat_f32x4(sum_f32x4(sum))), 0);
    }
}

void set_limits(struct screen *s, int32_t first, const float *scores, int32_t k) {
    const float u = 0x1p-24f, n = (float)s->dim;
    for (int32_t i = first; i < first + TILE_ROWS && i < s->count; i++) {
        float lowest = scores[i * k], square = s->squares[i], length = __builtin_sqrtf(square);
        if (s->metric == METRIC_L2) {
            float share = 0.5f * (1 - (0.5f * n + 64) * u);
            s->bases[i] = share * square + 0.5f * lowest * (1 + (1.125f * n + 64) * u);
            s->slopes[i] = share;
        } else {
            float margin = (1.75f * n + 64) * u;
            s->bases[i] = s->metric == METRIC_DOT ? lowest : 0;
            s->slopes[i] = length * (s->metric == METRIC_DOT ? -margin : lowest - margin);
        }
    }
}

void screen_rows(struct screen *s, const float *rows) {
    for (int32_t r = 0; r < TILE_COLUMNS; r += 4) {
        const float *four = rows + r * s->dim;
        if (s->count == 1) {
            multiply_four_rows(s->products + r, s->sizes + r, s->queries, four, s->dim);
        } else {
            square_four_rows(s->sizes + r, four, s->dim);
        }
        if (s->metric != METRIC_L2) store_f32x4(s->sizes + r, wasm_f32x4_sqrt(load_f32x4(s->sizes + r)));
    }
}

/* All bits of a lane are set if its row is rejected; none is set if one of the numbers is NaN. */
INLINE v128_t refused(f32x4 products, f32x4 bases, f32x4 slopes, f32x4 sizes) {
    return wasm_f32x4_le(products, add_f32x4(bases, mul_f32x4(slopes, sizes)));
}

uint32_t may_enter(const struct screen *s, int32_t first, const float *rows) {
    uint32_t entering = 0;
    if (s->count == 1) {
        f32x4 base = splat_f32x4(s->bases[0]), slope = splat_f32x4(s->slopes[0]);
        for (int32_t r = 0; r < TILE_COLUMNS; r += 4) {
            v128_t no = refused(load_f32x4(s->products + r), base, slope, load_f32x4(s->sizes + r));
            entering |= (uint32_t)wasm_i32x4_bitmask(wasm_v128_not(no)) << r;
        }
        return entering;
    }
    const float *queries = s->queries + first / TILE_ROWS * screened_floats(s->dim);
    f32x4 bases = load_f32x4(s->bases + first), slopes = load_f32x4(s->slopes + first), products[2];
    for (int32_t r = 0; r < TILE_COLUMNS; r += 2) {
        multiply_two_rows(products, queries, rows + r * s->dim, s->dim);
        for (int32_t i = 0; i < 2; i++) {
            v128_t no = refused(products[i], bases, slopes, splat_f32x4(s->sizes[r + i]));
            entering |= (uint32_t)!wasm_i32x4_all_true(no) << (r + i);
        }
    }
    return entering;
}
