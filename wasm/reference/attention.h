/* The functions of the obvious attention that its gradient uses too. */
#ifndef FLASHWASM_REFERENCE_ATTENTION_H
#define FLASHWASM_REFERENCE_ATTENTION_H

#include "../abi.h"

/* Returns the score of key j for query i, or -inf if the query may not see the key. */
float score(const struct attention_f32_arguments *args, int32_t head, int32_t i, int32_t j);

/* Returns 1 if dropout drops the weight of key j for query i: see attention/dropout.c. */
int is_dropped(const struct attention_f32_arguments *args, int32_t head, int32_t i, int32_t j);

#endif
