/* The obvious attention: one query at a time, by the formulas of attention/forward.c.
 *
 * Each run of keys is processed in blocks: the scores of the block, their exponentials, and the weighted values. The
 * greatest score, the sum and the output carry over from block to block. The runs are merged in order. */
#include "../abi.h"
#include "../shared/log.h"
#include "../shared/philox.h"
#include "attention.h"
#include "scalar_math.h"

typedef struct attention_f32_arguments arguments;

/* The state of a query, accumulated over some keys: struct row_state of attention/workspace.h. */
struct state {
    float max, unused[3], sum, unused_too[3], out[];
};

/* Converts a number of IEEE 754 half precision: see attention/storage.c. */
static float half_to_f32(uint16_t bits) {
    uint32_t moved = ((uint32_t)(bits & 0x8000) << 16) | ((uint32_t)(bits & 0x7fff) << 13);
    if ((bits & 0x7c00) == 0x7c00) return f32_of_bits(moved | 0x7f800000);
    return f32_of_bits(moved) * 0x1p112f;
}

/* Returns element d of key j. abi.h describes the layouts of enum storage. */
static float key_at(const arguments *args, int32_t key_head, int32_t j, int32_t d) {
    int32_t head = key_head * args->k_head_stride, at = head + j * args->k_stride + d;
    int32_t panel = head + j / ATTENTION_PANEL * ATTENTION_PANEL * args->k_stride, i = j % ATTENTION_PANEL;
    if (args->storage == STORED_ROWS) return ((const float *)args->k)[at];
    int32_t in_panel = panel + d * ATTENTION_PANEL + i;
    if (args->storage == STORED_PANELS) return ((const float *)args->k)[in_panel];
    if (args->storage == STORED_HALVES) return half_to_f32(((const uint16_t *)args->k)[in_panel]);
    return (float)((const int8_t *)args->k)[panel + d / 2 * 2 * ATTENTION_PANEL + i * 2 + d % 2];
}

/* Returns element c of value j. */
static float value_at(const arguments *args, int32_t key_head, int32_t j, int32_t c) {
    int32_t head = key_head * args->v_head_stride, at = head + j * args->v_stride + c;
    int32_t panel = head + c / ATTENTION_PANEL * ATTENTION_PANEL * args->capacity, i = c % ATTENTION_PANEL;
    if (args->storage == STORED_ROWS) return ((const float *)args->v)[at];
    int32_t in_panel = panel + j * ATTENTION_PANEL + i;
    if (args->storage == STORED_PANELS) return ((const float *)args->v)[in_panel];
    if (args->storage == STORED_HALVES) return half_to_f32(((const uint16_t *)args->v)[in_panel]);
    return (float)((const int8_t *)args->v)[panel + j / 2 * 2 * ATTENTION_PANEL + i * 2 + j % 2];
}

/* Returns the factor of key j, which is 1 unless keys and values are int8. */
static float scale_at(const arguments *args, const float *scales, int32_t key_head, int32_t j) {
    return args->storage == STORED_INT8 ? scales[key_head * args->capacity + j] : 1.0f;
}

float score(const arguments *args, int32_t head, int32_t i, int32_t j) {
    int32_t past = j - (i + args->diagonal); /* The key's distance past the query's diagonal. */
    if (past > args->after || past < -args->before) return MINUS_INFINITY;
    float bias = 0.0f;
    if (args->mask_kind != MASK_NONE) {
        int32_t at = head * args->mask_head_stride + i * args->mask_query_stride + j * args->mask_key_stride;
        if (args->mask_kind == MASK_BOOLEAN && !((const uint8_t *)args->mask)[at]) return MINUS_INFINITY;
        if (args->mask_kind == MASK_ADDITIVE) bias = ((const float *)args->mask)[at];
        if (bias == MINUS_INFINITY) return bias;
    }
    const float *q = args->q + head * args->q_head_stride + i * args->q_stride;
    float dot = 0.0f;
    for (int32_t d = 0; d < args->dim; d++) dot += q[d] * args->scale * key_at(args, head / args->group, j, d);
    dot *= scale_at(args, args->k_scales, head / args->group, j);
    if (args->softcap != 0.0f) dot = args->softcap * tanh_f32(dot / args->softcap);
    if (args->alibi) dot -= args->alibi[head] * (float)(past < 0 ? -past : past);
    return dot + bias;
}

int is_dropped(const arguments *args, int32_t head, int32_t i, int32_t j) {
    uint32_t words[4] = {(uint32_t)j / 4, args->first_query + (uint32_t)i, args->first_head + (uint32_t)head,
                         args->batch};
    uint32_t low = args->seed_low, high = args->seed_high;
    for (int round = 0; round < PHILOX_ROUNDS; round++, low += PHILOX_W0, high += PHILOX_W1) {
        uint64_t first = (uint64_t)words[0] * PHILOX_M0, third = (uint64_t)words[2] * PHILOX_M1;
        words[0] = (uint32_t)(third >> 32) ^ words[1] ^ low;
        words[2] = (uint32_t)(first >> 32) ^ words[3] ^ high;
        words[1] = (uint32_t)third;
        words[3] = (uint32_t)first;
    }
    return words[j % 4] < args->dropout;
}

/* Updates one query's state with keys [begin, end). */
static void visit(const arguments *args, struct state *state, int32_t head, int32_t i, int32_t begin, int32_t end) {
    float weights[ATTENTION_KEY_BLOCK], greatest = state->max;
    for (int32_t j = begin; j < end; j++) {
        weights[j - begin] = score(args, head, i, j);
        greatest = weights[j - begin] > greatest ? weights[j - begin] : greatest;
    }
    float origin = greatest == MINUS_INFINITY ? 0.0f : greatest, shrink = exp_f32(state->max - origin);
    state->max = greatest;
    state->sum *= shrink;
    for (int32_t c = 0; c < args->value_dim; c++) state->out[c] *= shrink;
    for (int32_t j = begin; j < end; j++) {
        float hidden = weights[j - begin], weight = exp_f32(hidden - origin);
        if (hidden == MINUS_INFINITY) continue;
        state->sum += weight;
        if (args->dropout) weight = is_dropped(args, head, i, j) ? 0.0f : weight * args->kept_scale;
        weight *= scale_at(args, args->v_scales, head / args->group, j);
        for (int32_t c = 0; c < args->value_dim; c++)
            state->out[c] += weight * value_at(args, head / args->group, j, c);
    }
}

static void start(const arguments *args, struct state *state) {
    state->max = MINUS_INFINITY, state->sum = 0.0f;
    for (int32_t c = 0; c < args->value_dim; c++) state->out[c] = 0.0f;
}

/* Adds a sum with maximum `max` to the state; returns the factor for the values that belong to it. */
static float join(const arguments *args, struct state *state, float max, float sum) {
    float greatest = max > state->max ? max : state->max, origin = greatest == MINUS_INFINITY ? 0.0f : greatest;
    float shrink = exp_f32(state->max - origin), share = exp_f32(max - origin);
    state->max = greatest;
    state->sum = state->sum * shrink + sum * share;
    for (int32_t c = 0; c < args->value_dim; c++) state->out[c] *= shrink;
    return share;
}

static void merge(const arguments *args, struct state *total, const struct state *run) {
    float share = join(args, total, run->max, run->sum);
    for (int32_t c = 0; c < args->value_dim; c++) total->out[c] += run->out[c] * share;
}

static int is_whole(const arguments *args) {
    return args->finish && args->key_begin == 0 && args->key_end == args->keys;
}

/* Returns the state of one run of keys if each call processes a part of the keys: see attention/one_query.c. */
static struct state *partial(const arguments *args, int32_t h, int32_t i, int32_t run) {
    int32_t runs = (args->keys + ATTENTION_KEY_RUN - 1) / ATTENTION_KEY_RUN, size = 8 + (args->value_dim + 3) / 4 * 4;
    return (struct state *)(args->partials + ((h * args->queries + i) * runs + run) * size);
}

static void visit_runs(const arguments *args, struct state *total, struct state *run, int32_t h, int32_t i) {
    int apart = args->partials && !is_whole(args);
    for (int32_t j = args->key_begin; j < args->key_end; j += ATTENTION_KEY_RUN) {
        int32_t end = args->key_end - j < ATTENTION_KEY_RUN ? args->key_end : j + ATTENTION_KEY_RUN;
        if (apart) run = partial(args, h, i, j / ATTENTION_KEY_RUN);
        start(args, run);
        for (int32_t block = j; block < end; block += ATTENTION_KEY_BLOCK) {
            visit(args, run, h, i, block, end - block < ATTENTION_KEY_BLOCK ? end : block + ATTENTION_KEY_BLOCK);
        }
        if (!apart) merge(args, total, run);
    }
}

static void finish(const arguments *args, struct state *total, int32_t h, int32_t i) {
    if (args->sinks) join(args, total, args->sinks[h], 1.0f);
    float *out = args->out + h * args->out_head_stride + i * args->out_stride, sum = total->sum;
    for (int32_t c = 0; c < args->value_dim; c++)
        out[c] = sum == 0.0f ? 0.0f : canonical_f32(total->out[c] / sum + 0.0f);
    if (!args->lse) return;
    args->lse[h * args->lse_head_stride + i] = sum == 0.0f ? MINUS_INFINITY : canonical_f32(total->max + log_f32(sum));
}

EXPORT(attention_f32)
int32_t attention_f32(const arguments *args) {
    enum { STATE = 8 + ATTENTION_MAX_DIM };
    if (args->dim < 0 || args->value_dim < 0 || args->group <= 0) return STATUS_BAD_ARGUMENT;
    if (args->dim > ATTENTION_MAX_DIM || args->value_dim > ATTENTION_MAX_DIM) return STATUS_BAD_ARGUMENT;
    int carried = !args->partials && !is_whole(args); /* The workspace keeps the state from call to call. */
    for (int32_t h = args->head_begin; h < args->head_end; h++) {
        for (int32_t i = args->query_begin; i < args->query_end; i++) {
            float *states = (float *)args->workspace + (carried ? i - args->query_begin + 1 : 1) * STATE;
            struct state *run = args->workspace, *total = (struct state *)states;
            if (args->key_begin == 0 || args->partials) start(args, total);
            visit_runs(args, total, run, h, i);
            if (!args->finish) continue;
            for (int32_t j = 0; args->partials && !is_whole(args) && j < args->keys; j += ATTENTION_KEY_RUN) {
                merge(args, total, partial(args, h, i, j / ATTENTION_KEY_RUN));
            }
            finish(args, total, h, i);
        }
    }
    return STATUS_OK;
}
