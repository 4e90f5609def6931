/* What attention and its gradient share. reference/attention.c */
#ifndef FLASHWASM_ATTENTION_SCORE_H
#define FLASHWASM_ATTENTION_SCORE_H

#include "../abi.h"

/* The score of key j for query i, -inf where it may not be seen. */
float score(const struct attention_f32_arguments *args, int32_t head, int32_t i, int32_t j);

/* Whether dropout takes a weight. */
int is_dropped(const struct attention_f32_arguments *args, int32_t head, int32_t i, int32_t j);

#endif
