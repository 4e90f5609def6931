/* out[i] = a[i] + b[i] for i < n. The output may be an input, at the same address. */
#include "../abi.h"
#include "../shared/simd.h"

EXPORT(vecadd_f32)
int32_t vecadd_f32(const float *a, const float *b, float *out, int32_t n) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        f32x4 s0 = add_f32x4(load_f32x4(a + i), load_f32x4(b + i));
        f32x4 s1 = add_f32x4(load_f32x4(a + i + 4), load_f32x4(b + i + 4));
        f32x4 s2 = add_f32x4(load_f32x4(a + i + 8), load_f32x4(b + i + 8));
        f32x4 s3 = add_f32x4(load_f32x4(a + i + 12), load_f32x4(b + i + 12));
        store_f32x4(out + i, canonical_f32x4(s0));
        store_f32x4(out + i + 4, canonical_f32x4(s1));
        store_f32x4(out + i + 8, canonical_f32x4(s2));
        store_f32x4(out + i + 12, canonical_f32x4(s3));
    }
    for (; i < n; i++) out[i] = canonical_f32(a[i] + b[i]);
    return STATUS_OK;
}
