/* The gradient's products for one block of queries and one block of keys. */
#ifndef FLASHWASM_ATTENTION_BACKWARD_TILE_H
#define FLASHWASM_ATTENTION_BACKWARD_TILE_H

#include "backward_workspace.h"

/* Adds the contributions of the packed queries and keys to the packed dQ, and to the rows of dK and dV. */
void add_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place);

#endif
