/* out[i] = table[ids[i]], rows of `columns` floats. */
#include "abi.h"
#include "simd.h"

enum { AHEAD = 16, LINE = 16 }; /* Rows that are asked for together; floats that memory hands over at a time. */

/* Reads a word of each line of a row, so that memory works on many lines at once: a copy keeps fewer
 * lines in flight, since it takes more instructions for each. */
static void touch_row(const float *row, int32_t columns) {
    int32_t j = 0;
    for (; j + 8 * LINE <= columns; j += 8 * LINE, row += 8 * LINE) {
        for (int i = 0; i < 8; i++) {
            int32_t word = *(const int32_t *)(row + i * LINE);
            __asm__ volatile("" : : "r"(word));
        }
    }
}

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
    for (int32_t i = 0; i < n; i += AHEAD) {
        int32_t end = n - i < AHEAD ? n : i + AHEAD;
        for (int32_t r = i; r < end; r++) touch_row(table + ids[r] * columns, columns);
        for (int32_t r = i; r < end; r++) copy_row(out + r * columns, table + ids[r] * columns, columns);
    }
    return STATUS_OK;
}
