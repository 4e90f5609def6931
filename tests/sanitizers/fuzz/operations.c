/* A target of libFuzzer for the kernels of operations/.
 *
 * The input is read as numbers: the kernel, then sizes, strides and flags, all within the preconditions of the kernel's
 * file; what is left becomes the operands, repeated if it is too short. Every operand has a block of its own of exactly
 * its size, so that AddressSanitizer sees any access beside it.
 */
#include <stdlib.h>

#include "../../../wasm/abi.h"

enum { MOST = 70 };

/* The rest of the input, and the blocks of this run. */
static const uint8_t *input;
static size_t left;
static void *blocks[8];
static int used;

static int32_t number(int32_t least, int32_t most) {
    if (!left) return least;
    left--;
    return least + *input++ % (most - least + 1);
}

static void *block(size_t bytes) {
    uint8_t *p = malloc(bytes);
    for (size_t i = 0; i < bytes; i++) p[i] = left ? input[i % left] : 0;
    return blocks[used++] = p;
}

/* The contents of a workspace do not matter to a kernel. */
static void *workspace(void) { return blocks[used++] = malloc(WORKSPACE_BYTES); }

static float *floats(int32_t count) { return block((size_t)count * sizeof(float)); }

static int32_t *integers(int32_t count, int32_t below) {
    int32_t *p = block((size_t)count * sizeof(int32_t));
    for (int32_t i = 0; i < count; i++) p[i] = (int32_t)((uint32_t)p[i] % (uint32_t)below);
    return p;
}

static void fuzz_matmul(void) {
    int32_t m = number(1, MOST), n = number(1, MOST), k = number(0, MOST), pad = number(0, 3);
    int32_t a_row = k + pad, a_column = 1, b_row = n + pad, b_column = 1, c_row = n + pad;
    if (number(0, 1)) a_row = 1, a_column = m + pad;
    if (number(0, 1)) b_row = 1, b_column = k + pad;
    int32_t a = k ? (m - 1) * a_row + (k - 1) * a_column + 1 : 0, b = k ? (k - 1) * b_row + (n - 1) * b_column + 1 : 0;
    float *bias = number(0, 1) ? floats(n) : 0;
    matmul_f32(workspace(), floats(a), floats(b), bias, floats((m - 1) * c_row + n), m, n, k, a_row, a_column, b_row,
               b_column, c_row);
}

static void fuzz_rows(int kind) {
    int32_t rows = number(0, MOST), columns = number(1, MOST), size = rows * columns, in_place = number(0, 1);
    float *x = floats(size), *out = in_place ? x : floats(size);
    if (kind == 0) softmax_f32(x, out, rows, columns);
    if (kind == 1) gelu_f32(x, out, size);
    if (kind == 2) gelu_tanh_f32(x, out, size);
    if (kind == 3) rms_norm_f32(x, number(0, 1) ? floats(columns) : 0, out, rows, columns, 1e-5f);
    if (kind == 4) {
        float *weight = number(0, 1) ? floats(columns) : 0;
        layer_norm_f32(x, weight, number(0, 1) ? floats(columns) : 0, out, rows, columns, 1e-5f);
    }
    if (kind == 5) vecadd_f32(x, floats(size), out, size);
}

static void fuzz_embedding(void) {
    int32_t n = number(0, MOST), rows = number(1, MOST), columns = number(1, MOST);
    embedding_f32(integers(n, rows + number(0, 1)), floats(rows * columns), floats(n * columns), n, rows, columns);
}

static void fuzz_top_k(void) {
    int32_t queries = number(1, 20), rows = number(1, MOST), dim = number(1, MOST), k = number(1, rows);
    int32_t metric = number(METRIC_COSINE, METRIC_L2), first = number(0, rows);
    float *q = floats(queries * dim), *corpus = floats(rows * dim), *scores = floats(queries * k);
    int32_t *indices = integers(queries * k, 1);
    if (first >= k) cosine_top_k_f32(workspace(), q, corpus, scores, indices, queries, first, dim, k, 0, metric, 0);
    int32_t seen = first >= k ? first : 0;
    cosine_top_k_f32(workspace(), q, corpus + seen * dim, scores, indices, queries, rows - seen, dim, k, seen, metric,
                     seen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    input = data, left = size;
    int32_t kind = number(0, 8);
    if (kind < 6) fuzz_rows(kind);
    if (kind == 6) fuzz_matmul();
    if (kind == 7) fuzz_embedding();
    if (kind == 8) fuzz_top_k();
    while (used) free(blocks[--used]);
    return 0;
}
