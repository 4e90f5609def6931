/* out[i] = table[ids[i]]: rows of a table, selected by number.
 *
 *   ids [n], table [rows][columns], out [n][columns]
 *
 * Nothing is written if an id lies outside the table. */
#include "../abi.h"

EXPORT(embedding_f32)
int32_t embedding_f32(const int32_t *ids, const float *table, float *out, int32_t n, int32_t rows, int32_t columns) {
    if (n < 0 || rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= rows) return STATUS_BAD_INDEX;
    }
    /* This compiles to the instruction memory.copy, for which the engine calls the host's memmove. It is faster than
     * a loop over vectors. */
    for (int32_t i = 0; i < n; i++) {
        __builtin_memcpy(out + i * columns, table + ids[i] * columns, (uint32_t)columns * sizeof(float));
    }
    return STATUS_OK;
}
