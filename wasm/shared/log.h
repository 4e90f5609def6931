/* The logarithm of one float. Attention computes one per row, so its speed does not matter. */
#ifndef FLASHWASM_LOG_H
#define FLASHWASM_LOG_H

#include "floats.h"

/* log x for x >= 1; infinity and NaN are returned unchanged.
 *
 * In double: x = 2^e m with sqrt(1/2) < m <= sqrt 2, and log m = 2 artanh((m - 1) / (m + 1)) by its series. */
static inline float log_f32(float x) {
    if (!(x < __builtin_inff())) return x;
    uint32_t bits = bits_of_f32(x);
    int32_t exponent = (int32_t)(bits >> 23) - 127;
    double m = f32_of_bits((bits & 0x7fffff) | 0x3f800000);
    if (m > 1.4142135623730951) {
        m *= 0.5;
        exponent++;
    }
    double s = (m - 1) / (m + 1), square = s * s, series = 0;
    for (int32_t power = 19; power > 0; power -= 2) series = series * square + 1.0 / power;
    return (float)(exponent * 0.6931471805599453 + 2 * s * series);
}

#endif
