/* A call of attention_f32 that has `partials`. */
#ifndef FLASHWASM_ATTENTION_ONE_QUERY_H
#define FLASHWASM_ATTENTION_ONE_QUERY_H

#include "../abi.h"

/* Does all that such a call asks for, one query at a time. */
void attend_rows(const struct attention_f32_arguments *args);

#endif
