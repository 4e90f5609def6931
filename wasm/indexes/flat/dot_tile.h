/* Distances of queries from panels of eight vectors. */
#ifndef FLASHWASM_INDEXES_FLAT_DOT_TILE_H
#define FLASHWASM_INDEXES_FLAT_DOT_TILE_H

#include <stddef.h>
#include <stdint.h>

/* distances[4][8] = -(four packed queries . the vectors of a panel) */
void dot_tile(float *distances, const float *queries, const float *panel, int32_t dim);

/* distances[4][8] = -(a query . the vectors of four panels), which begin `apart` floats after each other. Each element
 * of the query is stored four times, side by side. */
void dot_four_panels(float *distances, const float *query, const float *panel, size_t apart, int32_t dim);

/* distances[4][8] = |query - vector|^2, for the same vectors */
void square_four_panels(float *distances, const float *query, const float *panel, size_t apart, int32_t dim);

#endif
