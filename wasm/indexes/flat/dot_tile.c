/* Products of queries with panels, by the micro-kernel of shared/tile.h: see dot_tile.h.
 *
 * The products are subtracted from 0, which never gives -0, unlike a change of sign. */
#include "dot_tile.h"

#include "../../shared/tile.h"

void dot_tile(float *distances, const float *queries, const float *panel, int32_t dim) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    sweep_tile(&t, queries, panel, dim);
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = sub_f32x4(splat_f32x4(0), t.low[r]);
        t.high[r] = sub_f32x4(splat_f32x4(0), t.high[r]);
    }
    store_tile(distances, TILE_COLUMNS, &t);
}

/* Two panels give four chains of multiply-adds, so the processor need not wait for the result of one before it begins
 * the next. */
void dot_two_panels(float *distances, const float *query, const float *panel, int32_t dim) {
    const float *next = panel + (size_t)dim * TILE_COLUMNS;
    f32x4 a = splat_f32x4(0), b = a, c = a, d = a;
    for (int32_t j = 0; j < dim; j++) {
        f32x4 q = splat_f32x4(query[j * TILE_ROWS]);
        a = fma_f32x4(q, load_f32x4(panel + j * TILE_COLUMNS), a);
        b = fma_f32x4(q, load_f32x4(panel + j * TILE_COLUMNS + 4), b);
        c = fma_f32x4(q, load_f32x4(next + j * TILE_COLUMNS), c);
        d = fma_f32x4(q, load_f32x4(next + j * TILE_COLUMNS + 4), d);
    }
    f32x4 zero = splat_f32x4(0);
    store_f32x4(distances, sub_f32x4(zero, a));
    store_f32x4(distances + 4, sub_f32x4(zero, b));
    store_f32x4(distances + TILE_COLUMNS, sub_f32x4(zero, c));
    store_f32x4(distances + TILE_COLUMNS + 4, sub_f32x4(zero, d));
}
