/* The obvious embedding: see operations/embedding.c. */
#include "../abi.h"

EXPORT(embedding_f32)
int32_t embedding_f32(const int32_t *ids, const float *table, float *out, int32_t n, int32_t rows, int32_t columns) {
    if (n < 0 || rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= rows) return STATUS_BAD_INDEX;
    }
    for (int32_t i = 0; i < n; i++) {
        for (int32_t j = 0; j < columns; j++) out[i * columns + j] = table[ids[i] * columns + j];
    }
    return STATUS_OK;
}
