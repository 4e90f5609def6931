/* The obvious searches of panels, by floats and by codes: one query and one vector at a time. The formulas are the
 * same as in indexes/flat. */
#include "../indexes/keys.h"
#include "../indexes/store.h"

struct flat_workspace {
    float row[INDEX_MAX_DIM];
    int16_t codes[INDEX_MAX_DIM];
};

static float row_distance(const struct flat_search_arguments *args, const float *q, uint32_t position) {
    const float *lane = (const float *)args->panels + (size_t)(position / 8) * 8 * args->dim + position % 8;
    float sum = 0.0f;
    for (int32_t i = 0; i < args->dim; i++) {
        float x = lane[8 * i];
        sum += args->metric == METRIC_L2 ? (q[i] - x) * (q[i] - x) : q[i] * x;
    }
    if (args->metric == METRIC_L2) return sum;
    if (args->metric == METRIC_COSINE) sum = sum > 1.0f ? 1.0f : sum < -1.0f ? -1.0f : sum;
    return 0.0f - sum;
}

static float product_of_codes(const int16_t *q, const int8_t *lane, int32_t stride, float unit) {
    int32_t sum = 0;
    for (int32_t i = 0; i < stride; i++) sum += q[i] * lane[i / 4 * 32 + i % 4];
    return (float)sum * unit;
}

struct coded_query {
    float scale, square, length, error;
};

static struct coded_query coded(const struct flat_search_arguments *args, struct flat_workspace *w) {
    struct coded_query q;
    int32_t stride = row_stride(args->dim);
    quantize_row(w->codes, &q.scale, &q.square, w->row, stride, largest_two_digits(stride), args->metric);
    q.length = code_error(w->row, w->codes, 0, stride);
    q.error = code_error(w->row, w->codes, q.scale, stride);
    return q;
}

/* Returns a lower bound of the distance of a vector, computed from its codes: docs/decisions/0009 derives it. */
static float lower_bound(const struct flat_search_arguments *args, const struct coded_query *q, const int16_t *codes,
                         int32_t position) {
    int32_t stride = row_stride(args->dim);
    const int8_t *panel = (const int8_t *)args->panels + (size_t)(position / 8) * code_panel_bytes(stride);
    const int8_t *lane = panel + CODE_SUMS + position % 8 * 4;
    float product = product_of_codes(codes, lane, stride, args->scales[position] * q->scale);
    float square = args->squares[position], error = args->errors[position];
    float rounding = (float)(args->dim + 64) * 0x1p-24f;
    if (args->metric == METRIC_L2) {
        float both = square + q->square, between = both - 2.0f * product - (both * 0x1p-19f + 0x1p-116f);
        float distance = __builtin_sqrtf(between > 0.0f ? between : 0.0f) - (error + q->error);
        if (distance < 0.0f) distance = 0.0f;
        return distance * distance * (1.0f - rounding) - 0x1p-116f;
    }
    float length = __builtin_sqrtf(square) + 0x1p-74f;
    float margin = length * (q->error + q->length * rounding) + 0x1p-116f;
    return 0.0f - (product + (error * (q->length * (1.0f + rounding)) + margin));
}

static void search(const struct flat_search_arguments *args, int32_t query, int is_coded) {
    struct flat_workspace *w = args->workspace;
    uint64_t *heap = args->keys + (size_t)query * args->k;
    struct coded_query q = {0};
    prepare_row(w->row, args->queries + (size_t)query * args->dim, args->dim, args->metric);
    if (is_coded) q = coded(args, w);
    for (int32_t i = args->begin; i < args->end; i++) {
        if (args->mask && !args->mask[i]) continue;
        float distance = is_coded ? lower_bound(args, &q, w->codes, i) : row_distance(args, w->row, (uint32_t)i);
        offer_key(heap, args->k, make_key(distance, (uint32_t)i));
    }
}

/* Ranks a query's candidates by their exact distances, until their lower bounds are above those in the heap. */
static void rank_candidates(const struct flat_search_arguments *args, int32_t query) {
    struct flat_workspace *w = args->workspace;
    int32_t count = args->end - args->begin;
    const uint64_t *candidates = args->candidates + (size_t)query * count;
    uint64_t *heap = args->keys + (size_t)query * args->k;
    prepare_row(w->row, args->queries + (size_t)query * args->dim, args->dim, args->metric);
    for (int32_t i = 0; i < count; i++) {
        uint32_t position = (uint32_t)candidates[i];
        if (position == NO_POSITION || candidates[i] >> 32 > heap[0] >> 32) break;
        offer_key(heap, args->k, make_key(row_distance(args, w->row, position), position));
    }
}

static int32_t search_all(const struct flat_search_arguments *args, int is_coded) {
    if (args->dim < 1 || args->dim > INDEX_MAX_DIM || args->k < 1 || args->begin % 8) return STATUS_BAD_ARGUMENT;
    for (int32_t query = 0; query < args->query_count; query++) {
        if (args->candidates && !is_coded) {
            rank_candidates(args, query);
        } else {
            search(args, query, is_coded);
        }
    }
    return STATUS_OK;
}

EXPORT(flat_search_f32)
int32_t flat_search_f32(const struct flat_search_arguments *args) { return search_all(args, 0); }

EXPORT(flat_search_i8)
int32_t flat_search_i8(const struct flat_search_arguments *args) { return search_all(args, 1); }
