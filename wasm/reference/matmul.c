/* The obvious matrix product: for each row of A, each of its elements adds a multiple of a row of B to a row of C.
 * An element's additions have the same order as in the fast version. */
#include "../abi.h"
#include "../shared/floats.h"

EXPORT(matmul_f32)
int32_t matmul_f32(void *workspace, const float *a, const float *b, const float *bias, float *c, int32_t m, int32_t n,
                   int32_t k, int32_t a_row_stride, int32_t a_column_stride, int32_t b_row_stride,
                   int32_t b_column_stride, int32_t c_row_stride) {
    (void)workspace;
    if (m < 0 || n < 0 || k < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < m; i++) {
        float *row = c + i * c_row_stride;
        for (int32_t j = 0; j < n && bias != c; j++) row[j] = bias ? bias[j] : 0.0f;
        for (int32_t p = 0; p < k; p++) {
            float factor = a[i * a_row_stride + p * a_column_stride];
            for (int32_t j = 0; j < n; j++) row[j] += factor * b[p * b_row_stride + j * b_column_stride];
        }
        for (int32_t j = 0; j < n; j++) row[j] = canonical_f32(row[j]);
    }
    return STATUS_OK;
}
