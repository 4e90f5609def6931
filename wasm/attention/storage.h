/* Keys and values as rows of floats, from any storage format. */
#ifndef FLASHWASM_ATTENTION_STORAGE_H
#define FLASHWASM_ATTENTION_STORAGE_H

#include "workspace.h"

/* A block of keys and its values: rows of floats, each `stride` floats from the next. */
struct stored_block {
    const float *k, *v;
    int32_t k_stride, v_stride;
};

/* Returns the place of a block as rows of floats, after converting it into the workspace if it has another format.
 * Not for STORED_INT8. */
struct stored_block load_block(struct attention_workspace *w, const struct attention_f32_arguments *args,
                               int32_t key_head, int32_t key, int32_t keys);

/* Converts `count` halves, a multiple of four, to floats. */
void widen_halves(float *to, const int16_t *x, int32_t count);

#endif
