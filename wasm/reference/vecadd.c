/* The obvious sum of two arrays: see operations/vecadd.c. */
#include "../abi.h"
#include "../shared/floats.h"

EXPORT(vecadd_f32)
int32_t vecadd_f32(const float *a, const float *b, float *out, int32_t n) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < n; i++) out[i] = canonical_f32(a[i] + b[i]);
    return STATUS_OK;
}
