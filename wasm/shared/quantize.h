/* Numbers of a row as codes of seven bits: x stands for scale * (code - zero), with 0 <= code <= 127. */
#ifndef FLASHWASM_QUANTIZE_H
#define FLASHWASM_QUANTIZE_H

#include <stdint.h>

/* Ranges below this are quantised as zeros: the division by them might overflow. */
#define SMALLEST_RANGE 0x1p-96f

enum { CODE_ROWS = 4, CODE_DEPTH = 4 };

struct quantized_row {
    float scale; /* NaN if the row holds a number that is not finite. */
    int32_t zero;
};

/* Quantises `rows` <= 4 rows of `columns` numbers into a panel [columns / 4, rounded up][4 rows][4 columns].
 *
 * The codes of a row span its smallest and its greatest number, and 0. Columns that are missing count as zeros.
 * Nothing is written for rows that are missing. */
void quantize_rows(int8_t *panel, struct quantized_row *quantized, const float *x, int32_t row_stride, int32_t rows,
                   int32_t columns);

#endif
