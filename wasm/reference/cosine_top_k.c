/* The obvious top-k: scores one row after another and inserts it into the sorted list of the best k. */
#include "../abi.h"
#include "../shared/floats.h"

static double length(const float *x, int32_t n) {
    double square = 0;
    for (int32_t i = 0; i < n; i++) square += (double)x[i] * x[i];
    return __builtin_sqrt(square);
}

static float score_of(const float *q, const float *c, int32_t n, int32_t metric, double q_length, double c_length) {
    float sum = 0.0f;
    if (metric == METRIC_L2) {
        for (int32_t i = 0; i < n; i++) sum -= (q[i] - c[i]) * (q[i] - c[i]);
        return sum;
    }
    if (metric == METRIC_DOT) {
        for (int32_t i = 0; i < n; i++) sum += q[i] * c[i];
        return sum;
    }
    if (q_length == 0 || c_length == 0) return 0.0f;
    double q_inverse = 1 / q_length, c_inverse = 1 / c_length;
    for (int32_t i = 0; i < n; i++) sum += (float)(q[i] * q_inverse) * (float)(c[i] * c_inverse);
    if (sum > 1.0f) return 1.0f;
    return sum < -1.0f ? -1.0f : sum;
}

/* Returns 1 if a score ranks above another score with a lower index. An equal score does not; NaN ranks below every
 * number. */
static int overtakes(float score, float other) { return score > other || (other != other && score == score); }

EXPORT(cosine_top_k_f32)
int32_t cosine_top_k_f32(void *workspace, const float *queries, const float *corpus, float *scores, int32_t *indices,
                         int32_t query_count, int32_t row_count, int32_t dim, int32_t k, int32_t first_index,
                         int32_t metric, int32_t seen) {
    (void)workspace;
    if (dim < 0 || dim > TOP_K_MAX_DIM || k < 0 || query_count < 0 || row_count < 0) return STATUS_BAD_ARGUMENT;
    if (seen < 0 || k > seen + (int64_t)row_count) return STATUS_BAD_ARGUMENT;
    for (int32_t i = 0; i < query_count; i++, queries += dim, scores += k, indices += k) {
        double q_length = length(queries, dim);
        for (int32_t row = 0; row < row_count; row++) {
            const float *c = corpus + row * dim;
            float score = canonical_f32(score_of(queries, c, dim, metric, q_length, length(c, dim)));
            int32_t at = seen + (int64_t)row < k ? seen + row : k;
            for (; at > 0 && overtakes(score, scores[at - 1]); at--) {
                if (at < k) scores[at] = scores[at - 1], indices[at] = indices[at - 1];
            }
            if (at < k) scores[at] = score, indices[at] = first_index + row;
        }
    }
    return STATUS_OK;
}
