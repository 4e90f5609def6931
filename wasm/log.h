/* The logarithm of one float: there is one a row of attention, so it may take its time. */
#ifndef FLASHWASM_LOG_H
#define FLASHWASM_LOG_H

#include <stdint.h>

/* log x for a finite x >= 1, in double: x = 2^e m, log m = 2 artanh((m - 1) / (m + 1)). */
static inline float log_f32(float x) {
    union {
        float f;
        uint32_t bits;
    } u = {x};
    if (!(x < __builtin_inff())) return x;
    int32_t exponent = (int32_t)(u.bits >> 23) - 127;
    u.bits = (u.bits & 0x7fffff) | 0x3f800000;
    double m = u.f;
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), square = s * s, series = 0;
    for (int32_t power = 19; power > 0; power -= 2) series = series * square + 1.0 / power;
    return (float)(exponent * 0.6931471805599453 + 2 * s * series);
}

#endif
