/* Vectors as an index stores them: rows of floats, and codes of 8 bits. */
#ifndef FLASHWASM_INDEXES_STORE_H
#define FLASHWASM_INDEXES_STORE_H

#include <stddef.h>

#include "../abi.h"

/* The elements from one row to the next: rows are padded with zeros to whole cache lines of floats. */
static inline int32_t row_stride(int32_t dim) { return (dim + 15) / 16 * 16; }

/* Copies a vector to row[stride]; for cosine it is scaled to unit length. */
void prepare_row(float *row, const float *x, int32_t dim, int32_t metric);

/* Rounds a prepared row to codes whose magnitude is at most `largest`. Sets `scale`, the number that code 1
 * represents, and `square`, the squared length of scale * codes. */
void quantize_row(int16_t *codes, float *scale, float *square, const float *row, int32_t stride, int32_t largest,
                  int32_t metric);

/* Returns an upper bound on the length of row - scale * codes; with scale 0, of the row itself. */
float code_error(const float *row, const int16_t *codes, float scale, int32_t stride);

enum { CODE_SUMS = 32 }; /* The bytes in a code panel for the sums of its eight vectors' codes. */

/* The size of a code panel. */
static inline size_t code_panel_bytes(int32_t stride) { return CODE_SUMS + 8 * (size_t)stride; }

/* The number of bits in the lower digit of a query's code in a flat search. With it, the sum of the products with
 * stored codes fits into 32 bits. */
static inline int32_t low_digit_bits(int32_t stride) {
    return stride <= 2080 ? 7 : stride <= 4160 ? 6 : stride <= 8320 ? 5 : 4;
}

/* The largest code of a query in a flat search. It is high * 2^bits + low with high = 63 and low = 2^(bits - 1) - 1. */
static inline int32_t largest_two_digits(int32_t stride) { return 127 * (1 << (low_digit_bits(stride) - 1)) - 1; }

/* The largest code of a query. With it, the sum of the products with stored codes, at most 127, fits into 32 bits. */
static inline int32_t largest_query_code(int32_t stride) {
    int32_t largest = INT32_MAX / (127 * stride);
    return largest < 32767 ? largest : 32767;
}

#endif
