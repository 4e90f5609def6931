/* Dropping weights at random. */
#ifndef FLASHWASM_ATTENTION_DROPOUT_H
#define FLASHWASM_ATTENTION_DROPOUT_H

#include "workspace.h"

/* Sets some of weights[keys][8 queries] to zero and multiplies the others by args->kept_scale. */
void drop_weights(float *weights, const struct attention_f32_arguments *args, struct attention_place at);

/* The same for the weights of one query, [keys]. */
void drop_row(float *weights, const struct attention_f32_arguments *args, struct attention_place at);

#endif
