/* Packing: copies rows of a matrix into the panels that tile.h multiplies. */
#ifndef FLASHWASM_PACK_H
#define FLASHWASM_PACK_H

#include <stdint.h>

/* Packs `width` rows of x, 4 or 8, as panel[columns][width], each element multiplied by `scale`. Only the first
 * `rows` of these rows exist; the others are packed as zeros. */
void pack_rows_f32(float *panel, const float *x, int32_t row_stride, int32_t rows, int32_t columns, int32_t width,
                   float scale);

/* The same with scale 1 for a matrix whose columns lie `column_stride` apart. */
void pack_strided_f32(float *panel, const float *x, int32_t row_stride, int32_t column_stride, int32_t rows,
                      int32_t columns, int32_t width);

/* The same for all rows of x: panels of eight rows, one after another. */
void pack_panels_f32(float *panels, const float *x, int32_t row_stride, int32_t column_stride, int32_t rows,
                     int32_t columns);

#endif
