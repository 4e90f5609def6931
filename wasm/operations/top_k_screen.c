/* Looking at rows before they are scored: see top_k_screen.h. */
#include "top_k_screen.h"

#include "../abi.h"

/* Outside these, squares of components may vanish or overflow. */
#define LEAST_SQUARE 0x1p-60f
#define GREATEST_SQUARE 0x1p100f

/* Returns the squared lengths, or NaN for those that are too small or too great for the bounds. */
INLINE f32x4 usable(f32x4 squares) {
    v128_t fits = wasm_v128_and(wasm_f32x4_ge(squares, splat_f32x4(LEAST_SQUARE)),
                                wasm_f32x4_le(squares, splat_f32x4(GREATEST_SQUARE)));
    return wasm_v128_bitselect(squares, splat_f32x4(CANONICAL_NAN), fits);
}

/* Returns the sums of the lanes of four vectors. */
/* Adds sixteen columns of a row: its products with a query to t->low, its squares to t->high. */
INLINE void one_query_step(struct tile *t, const float *q, const float *x) {
    for (int i = 0; i < 4; i++) {
        f32x4 a = load_f32x4(x + 4 * i);
        t->low[i] = fma_f32x4(load_f32x4(q + 4 * i), a, t->low[i]);
        t->high[i] = fma_f32x4(a, a, t->high[i]);
    }
}

INLINE void store_sum(float *sum, const f32x4 part[4]) {
    store_f32x4(sum, add_f32x4(add_f32x4(part[0], part[1]), add_f32x4(part[2], part[3])));
}

static NOINLINE void sweep_row(float *sums, const float *q, const float *x, int32_t steps) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps > 0; steps--) {
        PIN(t, x, never);
        one_query_step(&t, q, x);
        q += 16, x += 16;
        __asm__ volatile("" : "+r"(q), "+r"(x));
    }
    store_sum(sums, t.low);
    store_sum(sums + 4, t.high);
}

INLINE void squares_step(struct tile *t, const float *x, const float *y, const float *z, const float *w) {
    f32x4 a = load_f32x4(x), b = load_f32x4(y), c = load_f32x4(z), d = load_f32x4(w);
    t->low[0] = fma_f32x4(a, a, t->low[0]);
    t->low[1] = fma_f32x4(b, b, t->low[1]);
    t->low[2] = fma_f32x4(c, c, t->low[2]);
    t->low[3] = fma_f32x4(d, d, t->low[3]);
}

static NOINLINE void sweep_squares(float *sums, const float *x, int32_t dim, int32_t steps) {
    const float *y = x + dim, *z = y + dim, *w = z + dim;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps >= 2; steps -= 2) {
        PIN(t, x, never);
        squares_step(&t, x, y, z, w);
        x += 4, y += 4, z += 4, w += 4;
        squares_step(&t, x, y, z, w);
        x += 4, y += 4, z += 4, w += 4;
        __asm__ volatile("" : "+r"(x), "+r"(y), "+r"(z), "+r"(w));
    }
    for (; steps > 0; steps--, x += 4, y += 4, z += 4, w += 4) squares_step(&t, x, y, z, w);
    store_tile(sums, 8, &t);
}

/* Adds four columns of two rows' products with four queries. */
INLINE void four_queries_step(struct tile *t, const float *q, const float *x, const float *y) {
    f32x4 a = load_f32x4(x), b = load_f32x4(y);
    for (int r = 0; r < 4; r++) {
        f32x4 query = load_f32x4(q + 4 * r);
        t->low[r] = fma_f32x4(a, query, t->low[r]);
        t->high[r] = fma_f32x4(query, b, t->high[r]);
    }
}

static NOINLINE void sweep_two_rows(float *sums, const float *q, const float *x, int32_t dim, int32_t steps) {
    const float *y = x + dim;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (; steps >= 4; steps -= 4) {
        PIN(t, x, never);
        four_queries_step(&t, q, x, y);
        PIN(t, x + 4, never);
        four_queries_step(&t, q + 16, x + 4, y + 4);
        PIN(t, x + 8, never);
        four_queries_step(&t, q + 32, x + 8, y + 8);
        PIN(t, x + 12, never);
        four_queries_step(&t, q + 48, x + 12, y + 12);
        q += 64, x += 16, y += 16;
        __asm__ volatile("" : "+r"(q), "+r"(x), "+r"(y));
    }
    for (; steps > 0; steps--, q += 16, x += 4, y += 4) four_queries_step(&t, q, x, y);
    store_tile(sums, 8, &t);
}

/* Returns the sums of the lanes of four vectors, which lie eight floats apart. */
INLINE f32x4 sum_each(const float *sums) {
    f32x4 a = load_f32x4(sums), b = load_f32x4(sums + 8), c = load_f32x4(sums + 16), d = load_f32x4(sums + 24);
    transpose_f32x4(&a, &b, &c, &d);
    return add_f32x4(add_f32x4(a, b), add_f32x4(c, d));
}

/* Adds the product of at most four components of two vectors. */
INLINE void add_rest(float *sum, f32x4 a, f32x4 b) { store_f32x4(sum, fma_f32x4(a, b, load_f32x4(sum))); }

static void multiply_four_rows(float *products, float *squares, const float *q, const float *x, int32_t dim) {
    float sums[TILE_ROWS * 8];
    for (int32_t r = 0; r < TILE_ROWS; r++, x += dim) {
        sweep_row(sums + 8 * r, q, x, dim / 16);
        for (int32_t j = dim / 16 * 16; j < dim; j += 4) {
            f32x4 four = load_at_most_f32x4(x + j, dim - j);
            add_rest(sums + 8 * r, load_f32x4(q + j), four);
            add_rest(sums + 8 * r + 4, four, four);
        }
    }
    store_f32x4(products, sum_each(sums));
    store_f32x4(squares, usable(sum_each(sums + 4)));
}

static void squares_of_rows(float *squares, const float *x, int32_t dim) {
    float sums[TILE_ROWS * 8];
    sweep_squares(sums, x, dim, dim / 4);
    for (int32_t r = 0; r < TILE_ROWS && dim % 4; r++) {
        f32x4 rest = load_tail_f32x4(x + r * dim + dim / 4 * 4, dim % 4, 0);
        add_rest(sums + 8 * r, rest, rest);
    }
    store_f32x4(squares, usable(sum_each(sums)));
}

static void multiply_two_rows(f32x4 products[2], const float *q, const float *x, int32_t dim) {
    float sums[TILE_ROWS * 8];
    sweep_two_rows(sums, q, x, dim, dim / 4);
    if (dim % 4) {
        int32_t j = dim / 4 * 4;
        f32x4 a = load_tail_f32x4(x + j, dim % 4, 0), b = load_tail_f32x4(x + dim + j, dim % 4, 0);
        for (int32_t r = 0; r < TILE_ROWS; r++) {
            f32x4 query = load_f32x4(q + 4 * j + 4 * r);
            add_rest(sums + 8 * r, query, a);
            add_rest(sums + 8 * r + 4, query, b);
        }
    }
    products[0] = sum_each(sums);
    products[1] = sum_each(sums + 4);
}

void screen_queries(struct screen *s, float *room, const float *queries, int32_t count, int32_t dim, int32_t metric) {
    s->queries = room, s->count = count, s->dim = dim, s->metric = metric;
    int32_t each = screened_floats(dim), step = count == 1 ? 4 : 4 * TILE_ROWS;
    for (int32_t i = 0; i < count || i % TILE_ROWS; i++) {
        const float *x = queries + (i < count ? i : count - 1) * dim;
        float *to = room + i / TILE_ROWS * each + i % TILE_ROWS * 4;
        f32x4 sum = splat_f32x4(0);
        for (int32_t j = 0; j < dim; j += 4, to += step) {
            f32x4 four = load_at_most_f32x4(x + j, dim - j);
            store_f32x4(to, four);
            sum = fma_f32x4(four, four, sum);
        }
        s->squares[i] = wasm_f32x4_extract_lane(usable(splat_f32x4(sum_f32x4(sum))), 0);
        /* Places after the last query refuse every row. */
        s->bases[i] = __builtin_inff(), s->slopes[i] = 0;
        if (count == 1) break;
    }
}

void set_limits(struct screen *s, int32_t first, const float *scores, int32_t k) {
    const float u = 0x1p-24f, n = (float)s->dim;
    for (int32_t i = first; i < first + TILE_ROWS && i < s->count; i++) {
        float lowest = scores[i * k], square = s->squares[i], length = __builtin_sqrtf(square);
        if (s->metric == METRIC_L2) {
            float kept = 0.5f * (1 - (0.5f * n + 64) * u);
            s->bases[i] = kept * square + 0.5f * lowest * (1 + (1.125f * n + 64) * u);
            s->slopes[i] = kept;
        } else {
            float margin = (1.5f * n + 64) * u;
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
            squares_of_rows(s->sizes + r, four, s->dim);
        }
        if (s->metric != METRIC_L2) store_f32x4(s->sizes + r, wasm_f32x4_sqrt(load_f32x4(s->sizes + r)));
    }
}

/* Compares products with their limits: all bits of a lane are set if its row is refused, none if a number is NaN. */
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
    f32x4 bases = load_f32x4(s->bases + first), slopes = load_f32x4(s->slopes + first);
    for (int32_t r = 0; r < TILE_COLUMNS; r += 2) {
        f32x4 products[2];
        multiply_two_rows(products, queries, rows + r * s->dim, s->dim);
        for (int32_t i = 0; i < 2; i++) {
            v128_t no = refused(products[i], bases, slopes, splat_f32x4(s->sizes[r + i]));
            entering |= (uint32_t)!wasm_i32x4_all_true(no) << (r + i);
        }
    }
    return entering;
}
