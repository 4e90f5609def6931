/* C[m][n] = A[m][k] B[k][n] + bias[n]
 *
 * A and B may have any strides; bias may be null. The output must not overlap an input. If bias is c itself, the
 * product is added to what C holds: so a sum over a long k goes on in the next call.
 *
 * The loops are, from the outside: blocks of k, blocks of rows of A (each packed once), and panels of eight columns
 * of B (packed when they are reached). A panel of B stays in the L1 cache while the packed rows of A come from L2.
 * The micro-kernel is add_tile of shared/tile.h. C carries the sums from one block of k to the next, so each element
 * is one chain of multiply-adds over k. This is the order of loops of Goto & van de Geijn, "Anatomy of
 * High-Performance Matrix Multiplication", 2008, and of BLIS.
 *
 * Workspace: the packed block of A, then one panel of B.
 */
#include "../abi.h"
#include "../shared/pack.h"
#include "../shared/tile.h"

/* A panel of B takes 16 KiB, half of a usual L1 cache; a block of A 256 KiB, half of a usual L2. */
enum { K_BLOCK = 512, ROW_BLOCK = 128 };
_Static_assert((ROW_BLOCK + TILE_COLUMNS) * K_BLOCK * sizeof(float) <= WORKSPACE_BYTES, "the workspace is too small");

static void fill_rows(float *c, int32_t c_stride, int32_t rows, int32_t columns, const float *bias) {
    for (int32_t r = 0; r < rows; r++) {
        for (int32_t j = 0; j < columns; j++) c[r * c_stride + j] = bias ? canonical_f32(bias[j]) : 0.0f;
    }
}

/* The same for a panel of at most eight columns. */
static void fill_panel(float *c, int32_t c_stride, int32_t rows, int32_t columns, const float *bias) {
    if (columns < TILE_COLUMNS) {
        fill_rows(c, c_stride, rows, columns, bias);
        return;
    }
    f32x4 low = canonical_f32x4(bias ? load_f32x4(bias) : splat_f32x4(0.0f));
    f32x4 high = canonical_f32x4(bias ? load_f32x4(bias + 4) : splat_f32x4(0.0f));
    for (int32_t r = 0; r < rows; r++) {
        store_f32x4(c + r * c_stride, low);
        store_f32x4(c + r * c_stride + 4, high);
    }
}

/* C[rows][columns <= 8] += packed rows of A x one panel of B */
static void add_panel(float *c, int32_t c_stride, int32_t rows, int32_t columns, const float *a, const float *b,
                      int32_t k) {
    for (int32_t r = 0; r < rows; r += TILE_ROWS) {
        add_tile_within(c + r * c_stride, c_stride, rows - r, columns, a + r * k, b, k);
    }
}

/* One row of C, for a product of so few rows that packing B would not pay: reads the rows of B in place. */
static NOINLINE void add_row(float *c, const float *a, int32_t a_column_stride, const float *b, int32_t b_row_stride,
                             int32_t n, int32_t k) {
    int32_t j = 0;
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

EXPORT(matmul_f32)
int32_t matmul_f32(void *workspace, const float *a, const float *b, const float *bias, float *c, int32_t m, int32_t n,
                   int32_t k, int32_t a_row_stride, int32_t a_column_stride, int32_t b_row_stride,
                   int32_t b_column_stride, int32_t c_row_stride) {
    if (m < 0 || n < 0 || k < 0) return STATUS_BAD_ARGUMENT;
    int32_t fill = bias != c;
    if (k == 0 && fill) fill_rows(c, c_row_stride, m, n, bias);
    if (m < TILE_ROWS && b_column_stride == 1) {
        if (fill) fill_rows(c, c_row_stride, m, n, bias);
        for (int32_t r = 0; r < m; r++) {
            add_row(c + r * c_row_stride, a + r * a_row_stride, a_column_stride, b, b_row_stride, n, k);
        }
        return STATUS_OK;
    }
    float *a_block = workspace, *b_panel = a_block + ROW_BLOCK * K_BLOCK;
    for (int32_t kk = 0; kk < k; kk += K_BLOCK) {
        int32_t depth = k - kk < K_BLOCK ? k - kk : K_BLOCK;
        for (int32_t r = 0; r < m; r += ROW_BLOCK) {
            int32_t rows = m - r < ROW_BLOCK ? m - r : ROW_BLOCK;
            for (int32_t i = 0; i < rows; i += TILE_ROWS) {
                pack_strided_f32(a_block + i * depth, a + (r + i) * a_row_stride + kk * a_column_stride, a_row_stride,
                                 a_column_stride, rows - i, depth, TILE_ROWS);
            }
            for (int32_t j = 0; j < n; j += TILE_COLUMNS) {
                int32_t columns = n - j < TILE_COLUMNS ? n - j : TILE_COLUMNS;
                float *c_block = c + r * c_row_stride + j;
                if (kk == 0 && fill) fill_panel(c_block, c_row_stride, rows, columns, bias ? bias + j : 0);
                pack_strided_f32(b_panel, b + kk * b_row_stride + j * b_column_stride, b_column_stride, b_row_stride,
                                 columns, depth, TILE_COLUMNS);
                add_panel(c_block, c_row_stride, rows, columns, a_block, b_panel, depth);
            }
        }
    }
    return STATUS_OK;
}
