/* Screening of eight rows of a corpus: finds the rows that may enter a query's results.
 *
 * The rows are read in place, and their products with the queries are added in lanes instead of one chain. Such a
 * product differs slightly from the score that cosine_top_k returns. docs/decisions/0017 derives a bound of the
 * difference, so that a row that is rejected here would also be rejected by its score.
 */
#ifndef FLASHWASM_TOP_K_SCREEN_H
#define FLASHWASM_TOP_K_SCREEN_H

#include "../shared/tile.h"

enum { SCREEN_QUERIES = 256 };

/* Queries, and the limits that a row must exceed to enter their results. */
struct screen {
    const float *queries; /* [count / 4][dim / 4][4 queries][4 columns]; a single query is stored alone. */
    int32_t count, dim, metric;
    float squares[SCREEN_QUERIES]; /* The squared lengths of the queries. NaN if the error bound is not valid. */
    float bases[SCREEN_QUERIES];   /* A row of size y is rejected if its product is at most base + slope y. */
    float slopes[SCREEN_QUERIES];
    float sizes[TILE_COLUMNS];    /* y of eight rows: the length, for l2 its square; or NaN as in `squares`. */
    float products[TILE_COLUMNS]; /* Their products with the query, if there is only one. */
};

/* Number of floats for four queries. */
INLINE int32_t screened_floats(int32_t dim) { return (dim + 3) / 4 * 4 * TILE_ROWS; }

/* Initialises the screen with `count` queries, at most SCREEN_QUERIES, and packs them into `room`. */
void screen_queries(struct screen *s, float *room, const float *queries, int32_t count, int32_t dim, int32_t metric);

/* Sets the limits that a row must exceed to enter the results of four queries, from `first`. `scores` are the heaps
 * of all queries, k scores each, and full. */
void set_limits(struct screen *s, int32_t first, const float *scores, int32_t k);

/* Screens eight consecutive rows. Call may_enter for the same rows next. */
void screen_rows(struct screen *s, const float *rows);

/* Returns a bit for each of these rows: 1 if it may enter the results of one of four queries, from `first`. */
uint32_t may_enter(const struct screen *s, int32_t first, const float *rows);

#endif
