/* Numbers of a row as codes of seven bits: a code represents scale * (code - zero), with 0 <= code <= 127. */
#ifndef FLASHWASM_QUANTIZE_H
#define FLASHWASM_QUANTIZE_H

#include <stdint.h>

/* Smaller ranges are quantised as zeros, because the division by them could overflow. */
#define SMALLEST_RANGE 0x1p-96f

enum { CODE_ROWS = 4, CODE_DEPTH = 4 };

struct quantized_row {
    float scale; /* NaN if the row contains a number that is not finite. */
    int32_t zero;
};

/* Quantises `rows` <= 4 rows of `columns` numbers into a panel [columns / 4, rounded up][4 rows][4 columns].
 *
 * The codes of a row cover the range from its smallest to its greatest number, extended to include 0. Missing
 * columns count as zeros. Nothing is written for missing rows. */
void quantize_rows(int8_t *panel, struct quantized_row *quantized, const float *x, int32_t row_stride, int32_t rows,
                   int32_t columns);

#endif
