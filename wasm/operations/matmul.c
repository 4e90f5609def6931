/* C[m][n] = A[m][k] B[k][n] + bias[n]
 *
 * A and B may have any strides; bias may be null. The output must not overlap an input. If bias is c itself, the
 * product is added to C, so that a sum over a long k can continue in the next call.
 *
 * The loops are, from the outside: blocks of k; blocks of columns of B, each packed once; blocks of rows of A, packed
 * once for each block of columns; and panels of eight columns. A panel of B stays in the L1 cache while the packed rows
 * of A come from L2. The micro-kernel is sum_tile of shared/tile.h. It starts from the bias in the first block of k,
 * and from C in the other blocks, so each element is one chain of multiply-adds over k. The order of loops is that of
 * Goto & van de Geijn, "Anatomy of High-Performance Matrix Multiplication", 2008, and of BLIS.
 */
#include "../abi.h"
#include "../shared/pack.h"
#include "../shared/tile.h"

/* A panel of B is 16 KiB, half of a usual L1 cache; a block of A is 256 KiB, half of a usual L2 cache. */
enum { K_BLOCK = 512, ROW_BLOCK = 128 };

/* The columns of a block of B if all rows of A form one block. B is then used only once, and a small block is still
 * in the cache when it is read. */
enum { FEW_COLUMNS = 32 };

/* Sizes for a C of few rows. The kernel multiplies four rows of B at once, one cache line of each after another.
 * ROW_COLUMNS of them stay in the L1 cache while all rows of C use them. Fewer columns than FEWEST_IN_ROWS are summed
 * strip by strip. */
enum { STEPS = 4, LINE = 16, ROW_COLUMNS = 1024, FEWEST_IN_ROWS = 64 };

/* The workspace. The block of B has as many columns as fit into it. */
struct matmul_workspace {
    float a[ROW_BLOCK * K_BLOCK]; /* [rows / 4][k][4] */
    float b[];                    /* [columns / 8][k][8] */
};
enum { B_ROOM = ((int32_t)WORKSPACE_BYTES - (int32_t)sizeof(struct matmul_workspace)) / (int32_t)sizeof(float) };
_Static_assert(B_ROOM >= K_BLOCK * FEW_COLUMNS, "the workspace is too small");

/* Sums start from these if there is no bias. */
static const float zeros[TILE_COLUMNS];

static void fill_rows(float *c, int32_t c_stride, int32_t rows, int32_t columns, const float *bias) {
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t j = 0; j < columns; j++) c[r * c_stride + j] = bias ? canonical_f32(bias[j]) : 0.0f;
    }
}

/* Packs a block of A in panels of four rows. */
static void pack_rows_of_a(float *panels, const float *a, int32_t row_stride, int32_t column_stride, int32_t rows,
                           int32_t depth) {
    for (int32_t i = 0; i < rows; i += TILE_ROWS) {
        pack_strided_f32(panels + i * depth, a + i * row_stride, row_stride, column_stride, rows - i, depth, TILE_ROWS);
    }
}

/* C[rows][columns <= 8] = start + packed rows of A x one panel of B. `start` is C, or one row for all of C; then
 * start_stride is 0. */
static void sum_panel(float *c, int32_t c_stride, const float *start, int32_t start_stride, int32_t rows,
                      int32_t columns, const float *a, const float *b, int32_t k) {
    for (int32_t r = 0; r < rows; r += TILE_ROWS) {
        sum_tile_within(c + r * c_stride, c_stride, start + r * start_stride, start_stride, rows - r, columns,
                        a + r * k, b, k);
    }
}

/* 32 elements of one row of C, in the accumulators of a tile: enough chains to keep the multipliers busy. */
static NOINLINE void add_thirty_two(float *c, const float *a, int32_t a_column_stride, const float *b,
                                    int32_t b_row_stride, int32_t k) {
    struct tile t = load_tile(c, TILE_COLUMNS);
    for (int32_t i = 0; i < k; i++) {
        f32x4 factor = splat_f32x4(*a);
        for (int r = 0; r < TILE_ROWS; r++) {
            t.low[r] = fma_f32x4(load_f32x4(b + r * TILE_COLUMNS), factor, t.low[r]);
            t.high[r] = fma_f32x4(load_f32x4(b + r * TILE_COLUMNS + 4), factor, t.high[r]);
        }
        a += a_column_stride;
        b += b_row_stride;
    }
    t = canonical_tile(t);
    store_tile(c, TILE_COLUMNS, &t);
}

/* One row of C, for products with few rows, for which packing B would take too long: reads the rows of B in place. */
static NOINLINE void add_row(float *c, const float *a, int32_t a_column_stride, const float *b, int32_t b_row_stride,
                             int32_t n, int32_t k) {
    int32_t j = 0;
    for (; j + 32 <= n; j += 32) add_thirty_two(c + j, a, a_column_stride, b + j, b_row_stride, k);
    for (; j + 16 <= n; j += 16) {
        f32x4 c0 = load_f32x4(c + j), c1 = load_f32x4(c + j + 4);
        f32x4 c2 = load_f32x4(c + j + 8), c3 = load_f32x4(c + j + 12);
        const float *row = b + j;
        for (int32_t i = 0; i < k; i++) {
            f32x4 factor = splat_f32x4(a[i * a_column_stride]);
            c0 = fma_f32x4(factor, load_f32x4(row), c0);
            c1 = fma_f32x4(factor, load_f32x4(row + 4), c1);
            c2 = fma_f32x4(factor, load_f32x4(row + 8), c2);
            c3 = fma_f32x4(factor, load_f32x4(row + 12), c3);
            row += b_row_stride;
        }
        store_f32x4(c + j, canonical_f32x4(c0));
        store_f32x4(c + j + 4, canonical_f32x4(c1));
        store_f32x4(c + j + 8, canonical_f32x4(c2));
        store_f32x4(c + j + 12, canonical_f32x4(c3));
    }
    for (; j < n; j++) {
        f32x4 sum = splat_f32x4(c[j]);
        for (int32_t i = 0; i < k; i++) {
            sum = fma_f32x4(splat_f32x4(a[i * a_column_stride]), splat_f32x4(b[i * b_row_stride + j]), sum);
        }
        c[j] = wasm_f32x4_extract_lane(canonical_f32x4(sum), 0);
    }
}

/* c[n] += four elements of A x four rows of B, without making NaNs canonical. n is a multiple of LINE. */
static NOINLINE void add_four_steps(float *c, const float *a, int32_t a_column_stride, const float *b,
                                    int32_t b_row_stride, int32_t n) {
    const float *row[STEPS];
    f32x4 factor[STEPS];
    for (int i = 0; i < STEPS; i++) {
        row[i] = b + i * b_row_stride;
        factor[i] = splat_f32x4(a[i * a_column_stride]);
    }
    for (int32_t j = 0; j < n; j += LINE) {
        for (int v = 0; v < LINE; v += 4) {
            f32x4 sum = load_f32x4(c + v);
            for (int i = 0; i < STEPS; i++) sum = fma_f32x4(load_f32x4(row[i] + v), factor[i], sum);
            store_f32x4(c + v, sum);
        }
        c += LINE;
        for (int i = 0; i < STEPS; i++) row[i] += LINE;
    }
}

/* Adds the product to C, which contains the bias, if C has too few rows for packing B to pay.
 *
 * Four rows of B are read side by side from beginning to end, so that the processor reads ahead. The sums stay in C
 * from one group of four rows to the next. add_row adds the last k % 4 rows of B and the last columns, and makes the
 * NaNs canonical. */
static void add_few_rows(float *c, int32_t c_row_stride, const float *a, int32_t a_row_stride, int32_t a_column_stride,
                         const float *b, int32_t b_row_stride, int32_t m, int32_t n, int32_t k) {
    int32_t columns = n < FEWEST_IN_ROWS ? 0 : n / LINE * LINE, depth = k / STEPS * STEPS;
    for (int32_t j = 0; j < columns; j += ROW_COLUMNS) {
        int32_t width = columns - j < ROW_COLUMNS ? columns - j : ROW_COLUMNS;
        for (int32_t i = 0; i < depth; i += STEPS) {
            for (int32_t r = 0; r < m; r++) {
                add_four_steps(c + r * c_row_stride + j, a + r * a_row_stride + i * a_column_stride, a_column_stride,
                               b + i * b_row_stride + j, b_row_stride, width);
            }
        }
    }
    for (int32_t r = 0; r < m; r++) {
        const float *row = a + r * a_row_stride;
        float *to = c + r * c_row_stride;
        add_row(to, row + depth * a_column_stride, a_column_stride, b + depth * b_row_stride, b_row_stride, columns,
                k - depth);
        add_row(to + columns, row, a_column_stride, b + columns, b_row_stride, n - columns, k);
    }
}

EXPORT(matmul_f32)
int32_t matmul_f32(void *workspace, const float *a, const float *b, const float *bias, float *c, int32_t m, int32_t n,
                   int32_t k, int32_t a_row_stride, int32_t a_column_stride, int32_t b_row_stride,
                   int32_t b_column_stride, int32_t c_row_stride) {
    if (m < 0 || n < 0 || k < 0) return STATUS_BAD_ARGUMENT;
    int32_t fill = bias != c;
    if (k == 0 && fill) fill_rows(c, c_row_stride, m, n, bias);
    if (m < TILE_ROWS && b_column_stride == 1) {
        if (fill) fill_rows(c, c_row_stride, m, n, bias);
        add_few_rows(c, c_row_stride, a, a_row_stride, a_column_stride, b, b_row_stride, m, n, k);
        return STATUS_OK;
    }
    struct matmul_workspace *w = workspace;
    for (int32_t kk = 0; kk < k; kk += K_BLOCK) {
        int32_t depth = k - kk < K_BLOCK ? k - kk : K_BLOCK;
        int32_t from_c = kk > 0 || !fill, start_stride = from_c ? c_row_stride : 0;
        int32_t block = m <= ROW_BLOCK ? FEW_COLUMNS : B_ROOM / depth / TILE_COLUMNS * TILE_COLUMNS;
        for (int32_t jj = 0; jj < n; jj += block) {
            int32_t end = n - jj < block ? n : jj + block;
            pack_panels_f32(w->b, b + kk * b_row_stride + jj * b_column_stride, b_column_stride, b_row_stride, end - jj,
                            depth);
            for (int32_t r = 0; r < m; r += ROW_BLOCK) {
                int32_t rows = m - r < ROW_BLOCK ? m - r : ROW_BLOCK;
                /* A block with all rows is already packed after the first columns. */
                if (jj == 0 || m > ROW_BLOCK) {
                    pack_rows_of_a(w->a, a + r * a_row_stride + kk * a_column_stride, a_row_stride, a_column_stride,
                                   rows, depth);
                }
                for (int32_t j = jj; j < end; j += TILE_COLUMNS) {
                    float *c_block = c + r * c_row_stride + j;
                    sum_panel(c_block, c_row_stride,
                              from_c ? c_block
                              : bias ? bias + j
                                     : zeros,
                              start_stride, rows, n - j, w->a, w->b + (j - jj) * depth, depth);
                }
            }
        }
    }
    return STATUS_OK;
}
