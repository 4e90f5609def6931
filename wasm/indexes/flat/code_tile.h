/* Products of a query's codes with those of a panel of eight vectors. */
#ifndef FLASHWASM_INDEXES_FLAT_CODE_TILE_H
#define FLASHWASM_INDEXES_FLAT_CODE_TILE_H

#include "../../shared/simd.h"

enum { CODE_PAIR = 2 }; /* Dimensions whose products one instruction adds. */

/* sums[4][8] = the products of four queries, packed as [stride / 2][4][2], with a panel, [stride / 2][8][2]. Returns
 * 1 and stores the sums if one of them is above its query's threshold, else returns 0. */
int code_tile(int32_t *sums, const int16_t *queries, const int8_t *panel, int32_t stride, v128_t thresholds);

/* sums[8] = the products of one query, whose codes lie one after another, with a panel. */
void code_row(int32_t *sums, const int16_t *query, const int8_t *panel, int32_t stride);

#endif
