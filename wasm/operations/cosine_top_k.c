/* The k rows of a corpus that are nearest to each query, best first; of equal scores the lower index comes first.
 *
 *   cosine: q.c / (|q| |c|), 0 if a vector is zero     dot: q.c     l2: -|q - c|^2
 *
 *   queries [query_count][dim], corpus [row_count][dim], scores and indices [query_count][k], k <= row_count
 *
 * Eight rows of the corpus are packed at a time, for cosine scaled to unit length. Tiles of four queries by eight
 * rows are scored, and each query's scores are offered to its heap immediately, so the matrix of scores is never
 * stored. `scores` and `indices` hold the heaps until they are sorted. NaN ranks below every other score.
 *
 * Workspace: packed queries, then one packed panel of the corpus.
 */
#include "../abi.h"
#include "../shared/pack.h"
#include "../shared/tile.h"

/* Packed queries take at most half of the workspace; the panel of the corpus takes the other half. */
enum { QUERY_FLOATS = WORKSPACE_BYTES / 2 / sizeof(float) };
_Static_assert(TOP_K_MAX_DIM *TILE_COLUMNS <= QUERY_FLOATS, "a panel must fit half the workspace");

/* Returns 1 if (score a, index i) ranks below (score b, index j). */
INLINE int ranks_below(float a, int32_t i, float b, int32_t j) {
    if (a < b) return 1;
    if (a > b) return 0;
    int a_is_nan = a != a, b_is_nan = b != b;
    if (a_is_nan != b_is_nan) return a_is_nan;
    return i > j;
}

INLINE void put(float *scores, int32_t *indices, int32_t at, float score, int32_t index) {
    scores[at] = score;
    indices[at] = index;
}

/* Replaces the root of a heap of n, whose root ranks lowest, and lets (score, index) sink to its place. */
static void sink(float *scores, int32_t *indices, int32_t n, float score, int32_t index) {
    int32_t at = 0;
    for (int32_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && ranks_below(scores[child + 1], indices[child + 1], scores[child], indices[child])) child++;
        if (!ranks_below(scores[child], indices[child], score, index)) break;
        put(scores, indices, at, scores[child], indices[child]);
    }
    put(scores, indices, at, score, index);
}

/* Appends (score, index) to a heap at place `at` and lets it rise to its place. */
static void rise(float *scores, int32_t *indices, int32_t at, float score, int32_t index) {
    while (at > 0) {
        int32_t parent = (at - 1) / 2;
        if (!ranks_below(score, index, scores[parent], indices[parent])) break;
        put(scores, indices, at, scores[parent], indices[parent]);
        at = parent;
    }
    put(scores, indices, at, score, index);
}

/* Offers one score to a heap that holds `held` of k entries. */
static NOINLINE void offer(float *scores, int32_t *indices, int32_t held, int32_t k, float score, int32_t index) {
    if (held < k) {
        rise(scores, indices, held, score, index);
    } else if (ranks_below(scores[0], indices[0], score, index)) {
        sink(scores, indices, k, score, index);
    }
}

/* Sorts a heap, best first. */
static void sort_heap(float *scores, int32_t *indices, int32_t k) {
    for (int32_t n = k - 1; n > 0; n--) {
        float score = scores[n];
        int32_t index = indices[n];
        put(scores, indices, n, scores[0], indices[0]);
        sink(scores, indices, n, score, index);
    }
}

/* 1 / |x|, or 0 for a zero vector. It is computed in double, where squares of floats neither overflow nor vanish. */
static double inverse_length(const float *x, int32_t n) {
    v128_t low = wasm_f64x2_splat(0), high = low;
    int32_t i = 0;
    for (; i + 4 <= n; i += 4) {
        f32x4 v = load_f32x4(x + i);
        v128_t a = wasm_f64x2_promote_low_f32x4(v);
        v128_t b = wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(v, v, 2, 3, 2, 3));
        low = wasm_f64x2_add(low, wasm_f64x2_mul(a, a));
        high = wasm_f64x2_add(high, wasm_f64x2_mul(b, b));
    }
    v128_t both = wasm_f64x2_add(low, high);
    double square = wasm_f64x2_extract_lane(both, 0) + wasm_f64x2_extract_lane(both, 1);
    for (; i < n; i++) square += (double)x[i] * x[i];
    return square == 0 ? 0 : 1 / __builtin_sqrt(square);
}

/* Packs up to `width` rows; for cosine each is scaled to unit length. */
static void pack_vectors(float *panel, const float *x, int32_t rows, int32_t dim, int32_t width, int32_t metric) {
    pack_rows_f32(panel, x, dim, rows, dim, width, 1.0f);
    if (metric != METRIC_COSINE) return;
    for (int32_t group = 0; group < width; group += 4) {
        double inverse[4] = {0};
        for (int32_t r = 0; r < 4 && group + r < rows; r++) inverse[r] = inverse_length(x + (group + r) * dim, dim);
        v128_t low = wasm_v128_load(inverse), high = wasm_v128_load(inverse + 2);
        for (int32_t j = 0; j < dim; j++) {
            f32x4 v = load_f32x4(panel + j * width + group);
            v128_t a = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(v), low);
            v128_t b = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(v, v, 2, 3, 2, 3)), high);
            f32x4 scaled = wasm_i64x2_shuffle(wasm_f32x4_demote_f64x2_zero(a), wasm_f32x4_demote_f64x2_zero(b), 0, 2);
            store_f32x4(panel + j * width + group, scaled);
        }
    }
}

/* Rounding may make a cosine greater than 1. */
INLINE f32x4 bounded_cosine(f32x4 x) { return pmax_f32x4(pmin_f32x4(x, splat_f32x4(1.0f)), splat_f32x4(-1.0f)); }

/* Offers one query's eight scores, of which the first `rows` exist. Usually one comparison rejects all eight. */
static void offer_eight(float *tile_row, float *scores, int32_t *indices, int32_t first, int32_t rows, int32_t seen,
                        int32_t k, int32_t metric) {
    f32x4 low = load_f32x4(tile_row), high = load_f32x4(tile_row + 4);
    if (metric != METRIC_DOT) {
        low = metric == METRIC_L2 ? wasm_f32x4_neg(low) : bounded_cosine(low);
        high = metric == METRIC_L2 ? wasm_f32x4_neg(high) : bounded_cosine(high);
        store_f32x4(tile_row, low);
        store_f32x4(tile_row + 4, high);
    }
    if (seen >= k) {
        f32x4 lowest = splat_f32x4(scores[0]);
        v128_t refused = wasm_v128_and(wasm_f32x4_le(low, lowest), wasm_f32x4_le(high, lowest));
        if (wasm_i32x4_all_true(refused)) return;
    }
    for (int32_t j = 0; j < rows; j++) {
        offer(scores, indices, seen + j < k ? seen + j : k, k, canonical_f32(tile_row[j]), first + j);
    }
}

/* Scores four packed queries, of which the first `queries` exist, with one packed panel of the corpus. */
static void score_panel_of_corpus(const float *query_panel, const float *corpus_panel, float *scores, int32_t *indices,
                                  int32_t queries, int32_t dim, int32_t first, int32_t rows, int32_t seen, int32_t k,
                                  int32_t metric) {
    float tile[TILE_ROWS * TILE_COLUMNS];
    if (metric == METRIC_L2) {
        square_distance_tile(tile, query_panel, corpus_panel, dim);
    } else {
        product_tile(tile, query_panel, corpus_panel, dim);
    }
    for (int32_t r = 0; r < queries; r++) {
        offer_eight(tile + r * TILE_COLUMNS, scores + r * k, indices + r * k, first, rows, seen, k, metric);
    }
}

EXPORT(cosine_top_k_f32)
int32_t cosine_top_k_f32(void *workspace, const float *queries, const float *corpus, float *scores, int32_t *indices,
                         int32_t query_count, int32_t row_count, int32_t dim, int32_t k, int32_t first_index,
                         int32_t metric) {
    if (dim < 0 || dim > TOP_K_MAX_DIM || k < 0 || k > row_count || query_count < 0) return STATUS_BAD_ARGUMENT;
    if (k == 0) return STATUS_OK;
    float *query_panels = workspace, *corpus_panel = query_panels + QUERY_FLOATS;
    int32_t panels = dim == 0 ? query_count : QUERY_FLOATS / (dim * TILE_ROWS);
    int32_t block = panels > query_count / TILE_ROWS ? query_count + TILE_ROWS : panels * TILE_ROWS;
    for (int32_t q = 0; q < query_count; q += block) {
        int32_t count = query_count - q < block ? query_count - q : block;
        for (int32_t i = 0; i < count; i += TILE_ROWS) {
            pack_vectors(query_panels + i * dim, queries + (q + i) * dim, count - i, dim, TILE_ROWS, metric);
        }
        for (int32_t row = 0; row < row_count; row += TILE_COLUMNS) {
            int32_t rows = row_count - row < TILE_COLUMNS ? row_count - row : TILE_COLUMNS;
            pack_vectors(corpus_panel, corpus + row * dim, rows, dim, TILE_COLUMNS, metric);
            for (int32_t i = 0; i < count; i += TILE_ROWS) {
                score_panel_of_corpus(query_panels + i * dim, corpus_panel, scores + (q + i) * k, indices + (q + i) * k,
                                      count - i < TILE_ROWS ? count - i : TILE_ROWS, dim, first_index + row, rows, row,
                                      k, metric);
            }
        }
        for (int32_t i = q; i < q + count; i++) sort_heap(scores + i * k, indices + i * k, k);
    }
    return STATUS_OK;
}
