/* Products of queries' digits with the codes of a panel of eight vectors: int32 sums[8], then codes[stride / 4][8][4].
 *
 * The digits are bytes from 0 to 127, packed as [stride / 4][4 queries][4]. A byte represents its value minus a zero
 * point. */
#ifndef FLASHWASM_INDEXES_FLAT_CODE_TILE_H
#define FLASHWASM_INDEXES_FLAT_CODE_TILE_H

#include <stddef.h>

#include "../../shared/simd.h"

enum {
    CODE_STEP = 4,  /* Dimensions whose products one instruction adds. */
    HIGH_ZERO = 64, /* The zero point of the digits for code_tile. */
};

/* Splits a query's codes into digits, and packs them as one of four queries. Returns the length of the vector of low
 * digits, taken as numbers around 0. */
double pack_digits(int8_t *high, int8_t *low, const int16_t *codes, int32_t stride);

/* sums[4][8] = the products of four packed queries with a panel. Returns 1 and stores the sums if one of them is above
 * its query's threshold, else returns 0. */
int code_tile(int32_t *sums, const int8_t *queries, const int8_t *panel, int32_t stride, v128_t thresholds);

/* sums[8] = the products of one of four packed queries with a panel. */
void code_row(int32_t *sums, const int8_t *query, int32_t zero, const int8_t *panel, int32_t stride);

/* sums[4][8] = the products of one of four packed queries with four panels, which begin `apart` bytes after each
 * other. */
void code_four_panels(int32_t *sums, const int8_t *query, int32_t zero, const int8_t *panel, size_t apart,
                      int32_t stride);

#endif
