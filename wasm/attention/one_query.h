/* Calls of attention_f32 with `partials`. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_H
#define FLASHWASM_ATTENTION_ONE_QUERY_H

#include "../abi.h"

/* Executes such a call, one query at a time. */
void attend_rows(const struct attention_f32_arguments *args);

#endif
