/* Products of queries with panels, by the micro-kernel of shared/tile.h: see dot_tile.h.
 *
 * The products are subtracted from 0, which never gives -0, unlike a change of sign. */
#include "dot_tile.h"

#include "../../shared/tile.h"

INLINE void store_distances(float *distances, struct tile t) {
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = sub_f32x4(splat_f32x4(0), t.low[r]);
        t.high[r] = sub_f32x4(splat_f32x4(0), t.high[r]);
    }
    store_tile(distances, TILE_COLUMNS, &t);
}

void dot_tile(float *distances, const float *queries, const float *panel, int32_t dim) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    sweep_tile(&t, queries, panel, dim);
    store_distances(distances, t);
}

typedef f32x4 (*add_term)(f32x4 sum, f32x4 query, f32x4 panel);

INLINE f32x4 add_product(f32x4 sum, f32x4 query, f32x4 panel) { return fma_f32x4(panel, query, sum); }

/* Four panels give eight chains of additions, so the processor need not wait for the result of one before it begins
 * the next. Few instructions for each cache line let it read further ahead. */
INLINE struct tile four_panels(const float *query, const float *panel, size_t apart, int32_t dim, add_term add) {
    const float *p[TILE_ROWS];
    for (int r = 0; r < TILE_ROWS; r++) p[r] = panel + r * apart;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t left = dim; left > 0; left--) {
        f32x4 q = load_f32x4(query);
        for (int r = 0; r < TILE_ROWS; r++) {
            if (r == TILE_ROWS / 2) PIN(t, query, never);
            t.low[r] = add(t.low[r], q, load_f32x4(p[r]));
            t.high[r] = add(t.high[r], q, load_f32x4(p[r] + 4));
            p[r] += TILE_COLUMNS;
        }
        query += TILE_ROWS;
        /* Without this, LLVM computes each address from the number of the step. */
        __asm__ volatile("" : "+r"(query), "+r"(p[0]), "+r"(p[1]), "+r"(p[2]), "+r"(p[3]));
    }
    return t;
}

void dot_four_panels(float *distances, const float *query, const float *panel, size_t apart, int32_t dim) {
    store_distances(distances, four_panels(query, panel, apart, dim, add_product));
}

void square_four_panels(float *distances, const float *query, const float *panel, size_t apart, int32_t dim) {
    struct tile t = four_panels(query, panel, apart, dim, add_square_of_difference);
    store_tile(distances, TILE_COLUMNS, &t);
}
