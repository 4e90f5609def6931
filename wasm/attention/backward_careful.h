/* The gradient's products when some key may be hidden and some operand is not finite. */
#ifndef FLASHWASM_ATTENTION_BACKWARD_CAREFUL_H
#define FLASHWASM_ATTENTION_BACKWARD_CAREFUL_H

#include "backward_workspace.h"

/* Adds the gradient of one group of queries to the packed dQ. */
void add_careful_dq(struct backward_workspace *w, int32_t group, int32_t dim, int32_t keys);

/* Adds the gradients of one block of keys to the rows of dK and dV. */
void add_careful_key_gradients(const struct attention_backward_f32_arguments *args, struct attention_place place);

#endif
