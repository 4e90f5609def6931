/* Storing vectors in an index: as rows or in panels, as floats or as codes.
 *
 *   x     [count][dim]
 *   rows  [n][stride]              panels  [n / 8][dim][8]
 *   codes [n][stride], int8        code panels [n / 8], each int32 sums[8] and int8 codes[stride / 4][8][4]
 *
 * The sums in a code panel are the sums of each vector's codes.
 *
 * For cosine the vectors are scaled to unit length. The codes of a vector are its components divided by its scale and
 * rounded; the component of greatest magnitude gets the code 127 or -127.
 *
 * Workspace: one prepared row, and its codes.
 */
#include "store.h"

#include "../shared/floats.h"

/* 1 / |x|, or 0 for a zero vector. It is computed in double, where squares of floats neither overflow nor vanish. */
static double inverse_length(const float *x, int32_t n) {
    double sums[4] = {0};
    for (int32_t i = 0; i < n; i++) sums[i & 3] += (double)x[i] * x[i];
    double square = (sums[0] + sums[2]) + (sums[1] + sums[3]);
    return square == 0 ? 0 : 1 / __builtin_sqrt(square);
}

void prepare_row(float *row, const float *x, int32_t dim, int32_t metric) {
    int32_t stride = row_stride(dim);
    if (metric == METRIC_COSINE) {
        double inverse = inverse_length(x, dim);
        for (int32_t i = 0; i < dim; i++) row[i] = (float)(x[i] * inverse);
    } else {
        for (int32_t i = 0; i < dim; i++) row[i] = x[i];
    }
    for (int32_t i = dim; i < stride; i++) row[i] = 0;
}

/* Rounds x, |x| < 2^22, to the nearest integer: adding 1.5 * 2^23 leaves it in the low bits of the mantissa. */
static inline int32_t nearest(float x) { return (int32_t)bits_of_f32(x + 12582912.0f) - 0x4b400000; }

void quantize_row(int16_t *codes, float *scale, float *square, const float *row, int32_t stride, int32_t largest,
                  int32_t metric) {
    float greatest = 0;
    for (int32_t i = 0; i < stride; i++) {
        float magnitude = __builtin_fabsf(row[i]);
        greatest = magnitude > greatest ? magnitude : greatest;
    }
    /* The factor is a double, because dividing by a subnormal float would give infinity. */
    double factor = greatest == 0 ? 0 : largest / (double)greatest;
    int64_t sum = 0;
    for (int32_t i = 0; i < stride; i++) {
        codes[i] = (int16_t)nearest((float)(row[i] * factor));
        sum += codes[i] * codes[i];
    }
    /* For cosine the scale is such that scale * codes has unit length, like the vector. */
    double unit = sum == 0 ? 0 : metric == METRIC_COSINE ? 1 / __builtin_sqrt((double)sum) : greatest / (double)largest;
    *scale = (float)unit;
    *square = (float)((double)sum * unit * unit);
}

float code_error(const float *row, const int16_t *codes, float scale, int32_t stride) {
    double sum = 0;
    for (int32_t i = 0; i < stride; i++) {
        double difference = row[i] - (double)scale * codes[i];
        sum += difference * difference;
    }
    /* The factor and the addend are greater than all rounding errors, here and in sums and products with the result:
     * see docs/decisions/0009. */
    return (float)(__builtin_sqrt(sum) * (1 + 0x1p-18) + 0x1p-126);
}

/* Copies codes to their row and to their place in a panel. */
static void store_codes(const struct index_store_f32_arguments *args, const int16_t *codes, int32_t position,
                        int32_t stride) {
    if (args->codes) {
        for (int32_t i = 0; i < stride; i++) args->codes[(size_t)position * stride + i] = (int8_t)codes[i];
    }
    if (args->code_panels) {
        int8_t *panel = args->code_panels + (size_t)(position / 8) * code_panel_bytes(stride),
               *lane = panel + CODE_SUMS;
        int32_t sum = 0;
        for (int32_t i = 0; i < stride; i++) {
            lane[i / 4 * 32 + position % 8 * 4 + i % 4] = (int8_t)codes[i];
            sum += codes[i];
        }
        ((int32_t *)panel)[position % 8] = sum;
    }
}

EXPORT(index_store_f32)
int32_t index_store_f32(const struct index_store_f32_arguments *args) {
    int32_t dim = args->dim, stride = row_stride(dim);
    if (dim < 1 || dim > INDEX_MAX_DIM || args->count < 0) return STATUS_BAD_ARGUMENT;
    float *row = args->workspace;
    int16_t *codes = (int16_t *)(row + stride);
    for (int32_t i = 0; i < args->count; i++) {
        int32_t position = args->first + i;
        prepare_row(row, args->x + (size_t)i * dim, dim, args->metric);
        if (args->rows) {
            float *to = args->rows + (size_t)position * stride;
            for (int32_t j = 0; j < stride; j++) to[j] = row[j];
        }
        if (args->panels) {
            float *lane = args->panels + (size_t)(position / 8) * 8 * dim + position % 8;
            for (int32_t j = 0; j < dim; j++) lane[8 * j] = row[j];
        }
        if (!args->scales) continue;
        quantize_row(codes, args->scales + position, args->squares + position, row, stride, 127, args->code_metric);
        if (args->errors) args->errors[position] = code_error(row, codes, args->scales[position], stride);
        store_codes(args, codes, position, stride);
    }
    return STATUS_OK;
}
