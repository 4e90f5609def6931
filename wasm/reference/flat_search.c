/* The obvious searches of panels: one query and one vector at a time. */
#include "../index.h"

struct flat_workspace {
    float row[INDEX_MAX_DIM];
    int16_t codes[INDEX_MAX_DIM];
};

static float row_distance(const float *q, const float *lane, int32_t dim, int32_t metric) {
    float sum = 0.0f;
    for (int32_t i = 0; i < dim; i++) {
        float x = lane[8 * i];
        sum += metric == METRIC_L2 ? (q[i] - x) * (q[i] - x) : q[i] * x;
    }
    if (metric == METRIC_L2) return sum;
    if (metric == METRIC_COSINE) sum = sum > 1.0f ? 1.0f : sum < -1.0f ? -1.0f : sum;
    return 0.0f - sum;
}

static float code_distance(const int16_t *q, const int8_t *lane, int32_t stride, float unit, float squares,
                           int32_t metric) {
    int32_t sum = 0;
    for (int32_t i = 0; i < stride; i += 2) sum += q[i] * lane[8 * i] + q[i + 1] * lane[8 * i + 1];
    float product = (float)sum * unit;
    return metric == METRIC_L2 ? squares - 2.0f * product : 0.0f - product;
}

static void search(const struct flat_search_arguments *args, int32_t query, int coded) {
    struct flat_workspace *w = args->workspace;
    int32_t dim = args->dim, stride = row_stride(dim);
    uint64_t *heap = args->keys + (size_t)query * args->k;
    float scale, square;
    prepare_row(w->row, args->queries + (size_t)query * dim, dim, args->metric);
    quantize_row(w->codes, &scale, &square, w->row, stride, largest_query_code(stride), args->metric);
    for (int32_t i = args->begin; i < args->end; i++) {
        if (args->mask && !args->mask[i]) continue;
        float distance;
        if (coded) {
            const int8_t *lane = (const int8_t *)args->panels + (size_t)(i / 8) * 8 * stride + i % 8 * 2;
            distance =
                code_distance(w->codes, lane, stride, args->scales[i] * scale, args->squares[i] + square, args->metric);
        } else {
            const float *lane = (const float *)args->panels + (size_t)(i / 8) * 8 * dim + i % 8;
            distance = row_distance(w->row, lane, dim, args->metric);
        }
        offer_key(heap, args->k, make_key(distance, (uint32_t)i));
    }
}

static int32_t search_all(const struct flat_search_arguments *args, int coded) {
    if (args->dim < 1 || args->dim > INDEX_MAX_DIM || args->k < 1 || args->begin % 8) return STATUS_BAD_ARGUMENT;
    for (int32_t query = 0; query < args->query_count; query++) search(args, query, coded);
    return STATUS_OK;
}

EXPORT(flat_search_f32)
int32_t flat_search_f32(const struct flat_search_arguments *args) { return search_all(args, 0); }

EXPORT(flat_search_i8)
int32_t flat_search_i8(const struct flat_search_arguments *args) { return search_all(args, 1); }
