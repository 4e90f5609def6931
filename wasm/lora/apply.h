/* The output of a low-rank adapter for one row. */
#ifndef FLASHWASM_LORA_APPLY_H
#define FLASHWASM_LORA_APPLY_H

#include "../abi.h"

/* h[rank] = A x, and y = x + scale B h. `in` and `out` are the lengths of x and y, padded or not. */
void lora_forward(const struct lora *lora, const float *x, float *h, float *y, int32_t in, int32_t out);

#endif
