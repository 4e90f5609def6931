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

/* Four panels give eight chains of multiply-adds, so the processor need not wait for the result of one before it
 * begins the next. Few instructions for each cache line let it read further ahead. */
void dot_four_panels(float *distances, const float *query, const float *panel, int32_t dim) {
    const float *p[TILE_ROWS];
    for (int r = 0; r < TILE_ROWS; r++) p[r] = panel + (size_t)r * dim * TILE_COLUMNS;
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    const uintptr_t never = never_an_address;
    for (int32_t left = dim; left > 0; left--) {
        f32x4 q = load_f32x4(query);
        for (int r = 0; r < TILE_ROWS; r++) {
            if (r == TILE_ROWS / 2) PIN(t, query, never);
            t.low[r] = fma_f32x4(load_f32x4(p[r]), q, t.low[r]);
            t.high[r] = fma_f32x4(load_f32x4(p[r] + 4), q, t.high[r]);
            p[r] += TILE_COLUMNS;
        }
        query += TILE_ROWS;
        /* Without this, LLVM computes each address from the number of the step. */
        __asm__ volatile("" : "+r"(query), "+r"(p[0]), "+r"(p[1]), "+r"(p[2]), "+r"(p[3]));
    }
    store_distances(distances, t);
}
