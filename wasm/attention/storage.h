/* Keys and values as rows of floats, however they are stored. */
#ifndef FLASHWASM_ATTENTION_STORAGE_H
#define FLASHWASM_ATTENTION_STORAGE_H

#include "workspace.h"

/* A block of keys and its values: rows of floats, each `stride` floats from the next. */
struct stored_block {
    const float *k, *v;
    int32_t k_stride, v_stride;
};

/* Returns where a block lies as rows; converts it into the workspace first if it is stored otherwise. Not for
 * STORED_INT8. */
struct stored_block load_block(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               int32_t key_head, int32_t key, int32_t keys);

/* Converts `count` halves, a multiple of four, to floats. */
void widen_halves(float *to, const int16_t *x, int32_t count);

#endif
