/* The k rows of a corpus that are nearest to each query, best first; rows with equal scores are in ascending order.
 *
 *   cosine: q.c / (|q| |c|), 0 if a vector is zero     dot: q.c     l2: -|q - c|^2
 *
 *   queries [query_count][dim], corpus [row_count][dim], scores and indices [query_count][k]
 *
 * scores and indices already contain the best of the `seen` rows from earlier calls; k <= seen + row_count.
 *
 * A score is one chain of multiply-adds over vectors in panels, which have unit length for cosine. Most rows are not
 * scored but only screened in place (top_k_screen.h): screening costs less than packing a row, and less than an l2
 * score. Rows that pass the screen of four queries wait until there are eight, which are then scored together. `scores`
 * and `indices` contain the heaps until they are sorted. NaN ranks below every other score.
 *
 * Workspace: queries packed for scores, queries packed for screening, one packed panel of the corpus.
 */
#include "../abi.h"
#include "../shared/pack.h"
#include "../shared/tile.h"
#include "score_heap.h"
#include "top_k_screen.h"

/* Queries packed for scores and queries packed for screening occupy a quarter of the workspace each; the panel of
 * the corpus occupies the other half. */
enum { QUERY_FLOATS = WORKSPACE_BYTES / 4 / sizeof(float) };
_Static_assert(TOP_K_MAX_DIM *TILE_COLUMNS <= 2 * QUERY_FLOATS, "a panel must fit half the workspace");
_Static_assert(TOP_K_MAX_DIM *TILE_ROWS <= QUERY_FLOATS, "four queries must fit a quarter of the workspace");

/* Parameters of screening. A row that passes takes as long as COST screened rows. */
enum { FEWEST_COLUMNS = 32, COST = 6, CREDIT = 256, PAUSE = 1024 };

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

/* Scales vectors, four side by side in a panel of any width, to unit length. Only the first `rows` exist. */
static void scale_four(float *panel, const float *const x[4], int32_t rows, int32_t dim, int32_t width) {
    double inverse[4] = {0};
    for (int32_t r = 0; r < rows; r++) inverse[r] = inverse_length(x[r], dim);
    v128_t low = wasm_v128_load(inverse), high = wasm_v128_load(inverse + 2);
    for (int32_t j = 0; j < dim; j++) {
        f32x4 v = load_f32x4(panel + j * width);
        v128_t a = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(v), low);
        v128_t b = wasm_f64x2_mul(wasm_f64x2_promote_low_f32x4(wasm_i32x4_shuffle(v, v, 2, 3, 2, 3)), high);
        f32x4 scaled = wasm_i64x2_shuffle(wasm_f32x4_demote_f64x2_zero(a), wasm_f32x4_demote_f64x2_zero(b), 0, 2);
        store_f32x4(panel + j * width, scaled);
    }
}

/* Packs up to `width` consecutive rows; for cosine each is scaled to unit length. */
static void pack_vectors(float *panel, const float *x, int32_t rows, int32_t dim, int32_t width, int32_t metric) {
    pack_rows_f32(panel, x, dim, rows, dim, width, 1.0f);
    if (metric != METRIC_COSINE) return;
    for (int32_t group = 0; group < width; group += 4) {
        const float *first = x + group * dim, *four[4] = {first, first + dim, first + 2 * dim, first + 3 * dim};
        int32_t left = rows - group;
        scale_four(panel + group, four, left < 0 ? 0 : left < 4 ? left : 4, dim, width);
    }
}

/* Packs eight rows at any addresses, in the same way as pack_vectors. */
static void pack_scattered(float *panel, const float *const x[TILE_COLUMNS], int32_t dim, int32_t metric) {
    for (int32_t group = 0; group < TILE_COLUMNS; group += 4) {
        const float *const *four = x + group;
        int32_t j = 0;
        for (; j + 4 <= dim; j += 4) {
            f32x4 a = load_f32x4(four[0] + j), b = load_f32x4(four[1] + j);
            f32x4 c = load_f32x4(four[2] + j), d = load_f32x4(four[3] + j);
            transpose_f32x4(&a, &b, &c, &d);
            store_f32x4(panel + (j + 0) * TILE_COLUMNS + group, a);
            store_f32x4(panel + (j + 1) * TILE_COLUMNS + group, b);
            store_f32x4(panel + (j + 2) * TILE_COLUMNS + group, c);
            store_f32x4(panel + (j + 3) * TILE_COLUMNS + group, d);
        }
        for (; j < dim; j++) {
            for (int32_t r = 0; r < 4; r++) panel[j * TILE_COLUMNS + group + r] = four[r][j];
        }
        if (metric == METRIC_COSINE) scale_four(panel + group, four, 4, dim, TILE_COLUMNS);
    }
}

/* Rounding may make a cosine greater than 1. */
INLINE f32x4 bounded_cosine(f32x4 x) { return pmax_f32x4(pmin_f32x4(x, splat_f32x4(1.0f)), splat_f32x4(-1.0f)); }

/* Up to eight rows of the corpus, whose scores will be offered together. */
struct rows {
    int32_t indices[TILE_COLUMNS];
    int32_t count;
};

/* A block of queries, and the corpus that is searched for them. */
struct search {
    const float *corpus, *query_panels;
    float *panel, *scores;
    int32_t *indices;
    int32_t queries, dim, k, first_index, metric;
    struct screen screen;
    struct rows waiting[SCREEN_QUERIES / TILE_ROWS]; /* Rows that passed the screen, for four queries each. */
};

/* Offers one query's scores of some rows. Usually one comparison rejects all of them. */
static void offer_rows(float *tile_row, float *scores, int32_t *indices, const struct rows *rows, int32_t seen,
                       const struct search *s) {
    f32x4 low = load_f32x4(tile_row), high = load_f32x4(tile_row + 4);
    if (s->metric != METRIC_DOT) {
        low = s->metric == METRIC_L2 ? wasm_f32x4_neg(low) : bounded_cosine(low);
        high = s->metric == METRIC_L2 ? wasm_f32x4_neg(high) : bounded_cosine(high);
        store_f32x4(tile_row, low);
        store_f32x4(tile_row + 4, high);
    }
    int32_t k = s->k;
    if (seen >= k) {
        f32x4 lowest = splat_f32x4(scores[0]);
        v128_t refused = wasm_v128_and(wasm_f32x4_le(low, lowest), wasm_f32x4_le(high, lowest));
        if (wasm_i32x4_all_true(refused)) return;
    }
    for (int32_t j = 0; j < rows->count; j++) {
        int32_t held = seen < k - j ? seen + j : k;
        offer(scores, indices, held, k, canonical_f32(tile_row[j]), s->first_index + rows->indices[j]);
    }
}

/* Scores the rows in the panel with four queries, from `first`. They were offered `seen` rows before. */
static void score_panel_of_corpus(struct search *s, int32_t first, const struct rows *rows, int32_t seen) {
    float tile[TILE_ROWS * TILE_COLUMNS];
    const float *queries = s->query_panels + first * s->dim;
    if (s->metric == METRIC_L2) {
        square_distance_tile(tile, queries, s->panel, s->dim);
    } else {
        product_tile(tile, queries, s->panel, s->dim);
    }
    for (int32_t r = 0; r < TILE_ROWS && first + r < s->queries; r++) {
        int32_t at = (first + r) * s->k;
        offer_rows(tile + r * TILE_COLUMNS, s->scores + at, s->indices + at, rows, seen, s);
    }
}

/* Scores the rows that wait for four queries. */
static NOINLINE void score_waiting(struct search *s, int32_t first) {
    struct rows *rows = s->waiting + first / TILE_ROWS;
    if (rows->count == 0) return;
    const float *x[TILE_COLUMNS];
    for (int32_t r = 0; r < TILE_COLUMNS; r++) {
        x[r] = s->corpus + rows->indices[r < rows->count ? r : 0] * s->dim;
    }
    pack_scattered(s->panel, x, s->dim, s->metric);
    score_panel_of_corpus(s, first, rows, s->k);
    rows->count = 0;
    set_limits(&s->screen, first, s->scores, s->k);
}

static void score_all_waiting(struct search *s) {
    for (int32_t i = 0; i < s->queries; i += TILE_ROWS) score_waiting(s, i);
}

/* Scores up to eight rows, from `row`, with all queries. */
static void score_rows(struct search *s, int32_t row, int32_t count, int32_t seen) {
    struct rows rows = {{0}, count};
    for (int32_t r = 0; r < count; r++) rows.indices[r] = row + r;
    pack_vectors(s->panel, s->corpus + row * s->dim, count, s->dim, TILE_COLUMNS, s->metric);
    for (int32_t i = 0; i < s->queries; i += TILE_ROWS) score_panel_of_corpus(s, i, &rows, seen);
}

/* Screens eight rows, from `row`, and adds those that pass to the waiting rows. Returns their number, over all
 * queries. */
static int32_t look_at_rows(struct search *s, int32_t row) {
    int32_t entered = 0;
    screen_rows(&s->screen, s->corpus + row * s->dim);
    for (int32_t i = 0; i < s->queries; i += TILE_ROWS) {
        struct rows *rows = s->waiting + i / TILE_ROWS;
        for (uint32_t left = may_enter(&s->screen, i, s->corpus + row * s->dim); left; left &= left - 1) {
            rows->indices[rows->count++] = row + __builtin_ctz(left);
            entered++;
            if (rows->count == TILE_COLUMNS) score_waiting(s, i);
        }
    }
    return entered;
}

/* Searches all rows for a block of packed queries. Their heaps were offered `seen` rows before.
 *
 * Screening saves time only if few rows pass. The first rows are therefore scored directly. If too many rows pass
 * later, some of the next rows are also scored directly. */
static void search_rows(struct search *s, int32_t row_count, int32_t seen) {
    int32_t groups = (s->queries + TILE_ROWS - 1) / TILE_ROWS, credit = 0, looked = 0;
    int64_t look_from = s->dim < FEWEST_COLUMNS ? row_count : 8 * (int64_t)s->k - seen;
    for (int32_t row = 0; row < row_count; row += TILE_COLUMNS) {
        int32_t count = row_count - row < TILE_COLUMNS ? row_count - row : TILE_COLUMNS;
        if (row < look_from || count < TILE_COLUMNS) {
            if (looked) score_all_waiting(s);
            looked = 0;
            score_rows(s, row, count, seen + row);
            continue;
        }
        if (!looked) {
            for (int32_t i = 0; i < s->queries; i += TILE_ROWS) set_limits(&s->screen, i, s->scores, s->k);
            looked = 1, credit = CREDIT;
        }
        credit += groups * TILE_COLUMNS - COST * look_at_rows(s, row);
        if (credit > CREDIT * groups) credit = CREDIT * groups;
        if (credit < 0) look_from = row + PAUSE;
    }
    if (looked) score_all_waiting(s);
}

EXPORT(cosine_top_k_f32)
int32_t cosine_top_k_f32(void *workspace, const float *queries, const float *corpus, float *scores, int32_t *indices,
                         int32_t query_count, int32_t row_count, int32_t dim, int32_t k, int32_t first_index,
                         int32_t metric, int32_t seen) {
    if (dim < 0 || dim > TOP_K_MAX_DIM || k < 0 || query_count < 0 || row_count < 0) return STATUS_BAD_ARGUMENT;
    if (seen < 0 || k > seen + (int64_t)row_count) return STATUS_BAD_ARGUMENT;
    if (k == 0) return STATUS_OK;
    float *query_panels = workspace, *screened = query_panels + QUERY_FLOATS;
    int32_t block = dim == 0 ? SCREEN_QUERIES : QUERY_FLOATS / screened_floats(dim) * TILE_ROWS;
    if (block > SCREEN_QUERIES) block = SCREEN_QUERIES;
    struct search s;
    s.corpus = corpus, s.query_panels = query_panels, s.panel = screened + QUERY_FLOATS;
    s.dim = dim, s.k = k, s.first_index = first_index, s.metric = metric;
    for (int32_t q = 0; q < query_count; q += block) {
        s.queries = query_count - q < block ? query_count - q : block;
        s.scores = scores + q * k, s.indices = indices + q * k;
        for (int32_t i = 0; i < s.queries; i += TILE_ROWS) {
            const float *four = queries + (q + i) * dim;
            pack_vectors(query_panels + i * dim, four, s.queries - i, dim, TILE_ROWS, metric);
            s.waiting[i / TILE_ROWS].count = 0;
        }
        screen_queries(&s.screen, screened, queries + q * dim, s.queries, dim, metric);
        int32_t held = seen < k ? seen : k;
        for (int32_t i = 0; i < s.queries; i++) reverse_heap(s.scores + i * k, s.indices + i * k, held);
        search_rows(&s, row_count, seen);
        for (int32_t i = 0; i < s.queries; i++) sort_heap(s.scores + i * k, s.indices + i * k, k);
    }
    return STATUS_OK;
}
