/* A look at eight rows of a corpus: may one of them enter what a query has found?
 *
 * The rows are read where they lie, and their products with the queries are added in lanes instead of one chain. Such a
 * product is not the score that cosine_top_k returns, but near to it. docs/decisions/0017 derives how near, so that a
 * row that is refused here would have been refused by its score too.
 */
#ifndef FLASHWASM_TOP_K_SCREEN_H
#define FLASHWASM_TOP_K_SCREEN_H

#include "../shared/tile.h"

enum { SCREEN_QUERIES = 256 };

/* Queries, and what a row must exceed to enter what they have found. */
struct screen {
    const float *queries; /* [count / 4][dim / 4][4 queries][4 columns]; a single one lies alone. */
    int32_t count, dim, metric;
    float squares[SCREEN_QUERIES]; /* The squared lengths of the queries. NaN where the bounds do not hold. */
    float bases[SCREEN_QUERIES];   /* A row of size y is refused if its product is at most base + slope y. */
    float slopes[SCREEN_QUERIES];
    float sizes[TILE_COLUMNS]; /* y of eight rows: the length, for l2 its square. NaN where the bounds do not hold. */
    float products[TILE_COLUMNS]; /* Their products with the query, if there is only one. */
};

/* Floats that four queries take. */
INLINE int32_t screened_floats(int32_t dim) { return (dim + 3) / 4 * 4 * TILE_ROWS; }

/* Begins with `count` queries, at most SCREEN_QUERIES, and packs them into `room`. */
void screen_queries(struct screen *s, float *room, const float *queries, int32_t count, int32_t dim, int32_t metric);

/* Sets what a row must exceed to enter the results of four queries, from `first`. `scores` are the heaps of all
 * queries, k scores each, and full. */
void set_limits(struct screen *s, int32_t first, const float *scores, int32_t k);

/* Looks at eight rows that lie one after another. may_enter is asked about the same rows next. */
void screen_rows(struct screen *s, const float *rows);

/* Returns a bit for each of these rows: 1 if it may enter the results of one of four queries, from `first`. */
uint32_t may_enter(const struct screen *s, int32_t first, const float *rows);

#endif
