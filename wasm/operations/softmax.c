/* out = exp(x - max(x)) / sum(exp(x - max(x))) for each row of x [rows][columns]. The output may be the input.
 *
 * A row that contains NaN or +inf, or only -inf, gives NaN, as the formula does. The exponentials are computed with a
 * factor of 2^24, which cancels in the division; otherwise subnormal results would become zero.
 *
 * A row needs two passes: the exponentials and their sum, then the division. While the exponentials of a row keep the
 * arithmetic units busy, the next row is loaded and its maximum computed, so that it is in the cache afterwards.
 *
 * softmax_piece_f32 makes one of the three passes over a piece of a row that is too long for one call. */
#include "../abi.h"
#include "../shared/row_sums.h"
#include "../shared/vector_math.h"

/* The exponentials of a block are made in two passes (see vector_math.h), and stay in the L1 cache in between. */
enum { EXPONENT_SCALE = 24, BLOCK = 512 };

/* Returns the greatest element, ignoring NaN: the exponential of a NaN makes the sum NaN anyway. */
INLINE float max_row(const float *x, int32_t n) {
    f32x4 m0 = splat_f32x4(MINUS_INFINITY), m1 = m0, m2 = m0, m3 = m0;
    int32_t i = 0;
    for (; i + 16 <= n; i += 16) {
        m0 = pmax_f32x4(m0, load_f32x4(x + i));
        m1 = pmax_f32x4(m1, load_f32x4(x + i + 4));
        m2 = pmax_f32x4(m2, load_f32x4(x + i + 8));
        m3 = pmax_f32x4(m3, load_f32x4(x + i + 12));
    }
    for (; i + 4 <= n; i += 4) m0 = pmax_f32x4(m0, load_f32x4(x + i));
    m1 = pmax_f32x4(m1, load_tail_f32x4(x + i, n - i, MINUS_INFINITY));
    f32x4 m = pmax_f32x4(pmax_f32x4(m0, m1), pmax_f32x4(m2, m3));
    return wasm_f32x4_extract_lane(greatest_f32x4(m), 0);
}

INLINE f32x4 exponential(const float *x, f32x4 max) {
    return scaled_exp_f32x4(sub_f32x4(load_f32x4(x), max), EXPONENT_SCALE);
}

/* Makes the first part of n exponentials, n a multiple of eight: the fractions in `out`, the powers in `powers`. */
static NOINLINE void split_exponentials(const float *x, float *out, float *powers, int32_t n, f32x4 max) {
    for (int32_t i = 0; i < n; i += 8) {
        struct exp_parts e0 = split_exp_f32x4(sub_f32x4(load_f32x4(x + i), max), EXPONENT_SCALE);
        struct exp_parts e1 = split_exp_f32x4(sub_f32x4(load_f32x4(x + i + 4), max), EXPONENT_SCALE);
        store_f32x4(out + i, e0.f);
        store_f32x4(out + i + 4, e1.f);
        store_f32x4(powers + i, e0.power);
        store_f32x4(powers + i + 4, e1.power);
    }
}

/* Writes the exponentials of n elements to out and returns their sum. `next_max` contains four maxima, which are
 * updated with n elements of `next`. */
INLINE float exponentials(const float *x, float *out, int32_t n, float max_value, const float *next, f32x4 *next_max) {
    float powers[BLOCK];
    f32x4 max = splat_f32x4(max_value), s0 = splat_f32x4(0), s1 = s0, m = *next_max;
    int32_t i = 0;
    while (i + 8 <= n) {
        int32_t end = n - i < BLOCK ? n / 8 * 8 : i + BLOCK;
        split_exponentials(x + i, out + i, powers, end - i, max);
        for (const float *power = powers; i < end; i += 8, power += 8) {
            f32x4 e0 = join_exp_f32x4(load_f32x4(out + i), load_f32x4(power));
            f32x4 e1 = join_exp_f32x4(load_f32x4(out + i + 4), load_f32x4(power + 4));
            m = pmax_f32x4(pmax_f32x4(m, load_f32x4(next + i)), load_f32x4(next + i + 4));
            store_f32x4(out + i, e0);
            store_f32x4(out + i + 4, e1);
            s0 = add_f32x4(s0, e0);
            s1 = add_f32x4(s1, e1);
        }
    }
    for (; i < n; i += 4) {
        int32_t left = n - i < 4 ? n - i : 4;
        float few[4] = {MINUS_INFINITY, MINUS_INFINITY, MINUS_INFINITY, MINUS_INFINITY};
        for (int32_t j = 0; j < left; j++) few[j] = next[i + j];
        m = pmax_f32x4(m, load_f32x4(few));
        for (int32_t j = 0; j < left; j++) few[j] = x[i + j];
        f32x4 e = exponential(few, max);
        store_f32x4(few, e);
        for (int32_t j = 0; j < left; j++) out[i + j] = few[j];
        /* Lanes past the row are set to zero, because their exponential is NaN if max is -inf. */
        for (int32_t j = left; j < 4; j++) few[j] = 0.0f;
        s0 = add_f32x4(s0, load_f32x4(few));
    }
    *next_max = m;
    return sum_f32x4(add_f32x4(s0, s1));
}

/* A sum of exponentials, and the greatest element of the next row. */
struct total_and_max {
    float total, next_max;
};

/* Writes the exponentials to out. The result's total is `total` plus their sum. */
static NOINLINE struct total_and_max add_exponentials(float total, const float *x, float *out, int32_t n, float max,
                                                      const float *next) {
    f32x4 next_max = splat_f32x4(MINUS_INFINITY);
    for (int32_t i = 0; i < n; i += SUM_PIECE) {
        int32_t piece = n - i < SUM_PIECE ? n - i : SUM_PIECE;
        total += exponentials(x + i, out + i, piece, max, next + i, &next_max);
    }
    return (struct total_and_max){total, wasm_f32x4_extract_lane(greatest_f32x4(next_max), 0)};
}

/* Divides a row by its total. If the total is NaN, all elements become NaN; otherwise none is. */
INLINE void divide(float *out, int32_t n, float total) {
    int32_t i = 0;
    if (total != total) {
        for (; i < n; i++) out[i] = CANONICAL_NAN;
        return;
    }
    float factor = 1.0f / total;
    for (; i + 4 <= n; i += 4) store_f32x4(out + i, mul_f32x4(load_f32x4(out + i), splat_f32x4(factor)));
    for (; i < n; i++) out[i] *= factor;
}

EXPORT(softmax_f32)
int32_t softmax_f32(const float *x, float *out, int32_t rows, int32_t columns) {
    if (rows < 0 || columns < 0) return STATUS_BAD_ARGUMENT;
    float max = rows > 0 ? max_row(x, columns) : 0.0f;
    for (int32_t r = 0; r < rows; r++, x += columns, out += columns) {
        const float *next = r + 1 < rows ? x + columns : x;
        struct total_and_max found = add_exponentials(0.0f, x, out, columns, max, next);
        divide(out, columns, found.total);
        max = found.next_max;
    }
    return STATUS_OK;
}

EXPORT(softmax_piece_f32)
int32_t softmax_piece_f32(const float *x, float *out, float *state, int32_t n, int32_t pass) {
    if (n < 0) return STATUS_BAD_ARGUMENT;
    if (pass == SOFTMAX_MAX) {
        float max = max_row(x, n);
        if (max > state[0]) state[0] = max;
    } else if (pass == SOFTMAX_EXPONENTIALS) {
        state[1] = canonical_f32(add_exponentials(state[1], x, out, n, state[0], x).total);
    } else if (pass == SOFTMAX_DIVIDE) {
        divide(out, n, state[1]);
    } else {
        return STATUS_BAD_ARGUMENT;
    }
    return STATUS_OK;
}
