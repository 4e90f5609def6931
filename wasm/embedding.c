/* out[i] = table[ids[i]], rows of `columns` floats. */
#include "abi.h"
#include "simd.h"

INLINE void copy_row(float *out, const float *row, int32_t columns) {
    int32_t j = 0;
    for (; j + 16 <= columns; j += 16) {
        f32x4 a = load_f32x4(row + j), b = load_f32x4(row + j + 4);
        f32x4 c = load_f32x4(row + j + 8), d = load_f32x4(row + j + 12);
        store_f32x4(out + j, a);
        store_f32x4(out + j + 4, b);
        store_f32x4(out + j + 8, c);
        store_f32x4(out + j + 12, d);
    }
    for (; j < columns; j++) out[j] = row[j];
}

EXPORT(embedding_f32)
int32_t embedding_f32(const int32_t *ids, const float *table, float *out, int32_t n, int32_t rows, int32_t columns) {
    if (n < 0 || rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= rows) return STATUS_BAD_INDEX;
    }
    for (int32_t i = 0; i < n; i++) copy_row(out + i * columns, table + ids[i] * columns, columns);
    return STATUS_OK;
}
