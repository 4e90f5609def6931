/* The obvious distances of one vector from many: see indexes/distances.h. */
#include "../indexes/distances.h"

static float row_distance(const float *q, const float *x, int32_t n, int32_t metric) {
    float sum = 0.0f;
    if (metric == METRIC_L2) {
        for (int32_t i = 0; i < n; i++) sum += (q[i] - x[i]) * (q[i] - x[i]);
        return sum;
    }
    for (int32_t i = 0; i < n; i++) sum += q[i] * x[i];
    if (metric == METRIC_COSINE) sum = sum > 1.0f ? 1.0f : sum < -1.0f ? -1.0f : sum;
    return 0.0f - sum;
}

void row_distances(float *out, const struct vectors *v, const float *row, const uint32_t *positions, int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        out[i] = row_distance(row, v->rows + (size_t)positions[i] * v->stride, v->stride, v->metric);
    }
}

void code_distances(float *out, const struct vectors *v, const struct point *p, const uint32_t *positions,
                    int32_t count) {
    for (int32_t i = 0; i < count; i++) {
        const int8_t *x = v->codes + (size_t)positions[i] * v->stride;
        int32_t sum = 0;
        for (int32_t j = 0; j < v->stride; j++) sum += p->codes[j] * x[j];
        float product = (float)sum * (v->scales[positions[i]] * p->scale);
        out[i] = v->metric == METRIC_L2 ? v->squares[positions[i]] + p->square - 2.0f * product : 0.0f - product;
    }
}
