/* Four vectors that are computed side by side: sixteen floats. */
#ifndef FLASHWASM_ATTENTION_FOUR_VECTORS_H
#define FLASHWASM_ATTENTION_FOUR_VECTORS_H

#include "../shared/tile.h"

struct four {
    f32x4 x[4];
};

INLINE struct four load_four(const float *p) {
    return (struct four){{load_f32x4(p), load_f32x4(p + 4), load_f32x4(p + 8), load_f32x4(p + 12)}};
}

INLINE void store_four(float *p, const struct four *f) {
    for (int i = 0; i < 4; i++) store_f32x4(p + 4 * i, f->x[i]);
}

/* The same as PIN of tile.h, for four vectors. */
#define PIN_FOUR(f, pointer, never)                                 \
    do {                                                            \
        if (__builtin_expect((uintptr_t)(pointer) == (never), 0)) { \
            (f) = load_four((const float *)(never));                \
        }                                                           \
    } while (0)

/* Four vectors, each with one float of x in all lanes. */
INLINE struct four splat_four(f32x4 x) {
    return (struct four){
        {splat_lane_f32x4(x, 0), splat_lane_f32x4(x, 1), splat_lane_f32x4(x, 2), splat_lane_f32x4(x, 3)}};
}

#endif
