/* out = softmax(softcap(scale Q K^T) + bias) V, exact, without ever holding the scores.
 *
 *   q (heads, queries, dim), k (heads / group, keys, dim), v (heads / group, keys, value_dim)
 *
 * Keys are visited in blocks of 64 that start at multiples of 64. For each block and each query the
 * greatest score, the sum of exponentials and the weighted sum of values are brought up to date
 * (Milakov & Gimelshein, 2018; Dao et al., 2022). This is done for each run of 512 keys apart; the
 * runs are then merged in order. Scores are kept transposed, keys down and eight queries across, so
 * that nothing needs a horizontal step and the weights are already the packed operand of the second
 * product.
 *
 * A query's bits depend on its own row, on the keys and on what it may see: never on the queries,
 * heads or threads beside it. A block or a run that it sees nothing of changes nothing, so skipping it
 * does not either.
 *
 * Part of the keys: a call with [key_begin, key_end) short of all keys keeps the state of its one
 * head and one block of queries in the workspace. The calls must follow each other in order,
 * key_begin a multiple of 512, and the last one, with `finish`, writes the output.
 *
 * Few queries: with `partials` they are taken one at a time, which reads keys and values where they
 * lie: see attention_rows.c. The bits are the same. Keys in int8 are always read so.
 */
#include "attention.h"
#include "vector_math.h"

#define MINUS_INFINITY (-__builtin_inff())

typedef struct attention_f32_arguments arguments;
typedef struct attention_workspace workspace;

static void start_group(struct group_state *state, int32_t value_dim) {
    for (int32_t i = 0; i < value_dim * QUERY_GROUP; i++) state->out[i] = 0.0f;
    for (int32_t i = 0; i < QUERY_GROUP; i++) {
        state->max[i] = MINUS_INFINITY;
        state->sum[i] = 0.0f;
    }
}

static NOINLINE void start_queries(workspace *w, const arguments *args, int32_t head, int32_t query, int32_t end) {
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        int32_t first = query + g * QUERY_GROUP;
        pack_rows_f32(w->q[g], args->q + head * args->q_head_stride + first * args->q_stride, args->q_stride,
                      end - first, args->dim, QUERY_GROUP, args->scale);
        start_group(&w->total[g], args->value_dim);
    }
}

/* Packs one block of keys and values; returns whether all values are finite. */
static NOINLINE int pack_keys(workspace *w, const struct stored_block *block, const arguments *args, int32_t keys) {
    for (int32_t j = 0; j < keys; j += TILE_ROWS) {
        pack_rows_f32(w->k + j * args->dim, block->k + j * block->k_stride, block->k_stride, keys - j, args->dim,
                      TILE_ROWS, 1.0f);
    }
    f32x4 zeros = splat_f32x4(0.0f); /* x * 0 is zero where x is finite, else NaN. */
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        float *panel = w->v[c / TILE_ROWS];
        int32_t left = args->value_dim - c;
        for (int32_t j = 0; j < keys; j++) {
            const float *row = block->v + j * block->v_stride + c;
            f32x4 x = left >= TILE_ROWS ? load_f32x4(row) : load_tail_f32x4(row, left, 0.0f);
            store_f32x4(panel + j * TILE_ROWS, x);
            zeros = fma_f32x4(x, splat_f32x4(0.0f), zeros);
        }
    }
    return sum_f32x4(zeros) == 0.0f;
}

/* scores[key][8] = K panels x Q group. */
static NOINLINE void score_tile(float *scores, const float *k, const float *q, int32_t dim) {
    struct tile t = {{splat_f32x4(0)}, {splat_f32x4(0)}};
    sweep_tile(&t, k, q, dim);
    store_tile(scores, QUERY_GROUP, &t);
}

/* out[4 columns][8] = out * correction + V panel x weights. */
static NOINLINE void value_tile(float *out, const float *v, const float *weights, const float *correction,
                                int32_t keys) {
    struct tile t = load_tile(out, QUERY_GROUP);
    f32x4 low = load_f32x4(correction), high = load_f32x4(correction + 4);
    for (int r = 0; r < TILE_ROWS; r++) {
        t.low[r] = mul_f32x4(t.low[r], low);
        t.high[r] = mul_f32x4(t.high[r], high);
    }
    sweep_tile(&t, v, weights, keys);
    store_tile(out, QUERY_GROUP, &t);
}

/* Four of the group's queries: scores become weights exp(score - max), max and sum are brought up
 * to date, and correction says by what the earlier weights shrink. */
static NOINLINE void weigh(float *scores, float *max, float *sum, float *correction, int32_t keys) {
    f32x4 old = load_f32x4(max), m0 = old, m1 = old;
    for (int32_t j = 0; j < keys; j += 2) {
        m0 = pmax_f32x4(m0, load_f32x4(scores + j * QUERY_GROUP));
        m1 = pmax_f32x4(m1, load_f32x4(scores + (j + 1) * QUERY_GROUP));
    }
    f32x4 greatest = pmax_f32x4(m0, m1);
    store_f32x4(max, greatest);
    /* A query that has seen no key yet has maximum -inf: measure from 0, so its weights are 0. */
    f32x4 none = wasm_f32x4_eq(greatest, splat_f32x4(MINUS_INFINITY));
    f32x4 origin = wasm_v128_andnot(greatest, none);
    f32x4 shrink = exp_f32x4(sub_f32x4(old, origin));
    store_f32x4(correction, shrink);
    /* Every fourth key is summed apart, as where four keys lie side by side in attention_rows.c. */
    f32x4 pairs[2];
    for (int32_t pair = 0; pair < 2; pair++) {
        f32x4 s0 = splat_f32x4(0), s2 = s0;
        for (int32_t j = pair; j < keys; j += 4) {
            float *at = scores + j * QUERY_GROUP;
            f32x4 e0 = exp_f32x4(sub_f32x4(load_f32x4(at), origin));
            f32x4 e2 = exp_f32x4(sub_f32x4(load_f32x4(at + 2 * QUERY_GROUP), origin));
            store_f32x4(at, e0);
            store_f32x4(at + 2 * QUERY_GROUP, e2);
            s0 = add_f32x4(s0, e0);
            s2 = add_f32x4(s2, e2);
        }
        pairs[pair] = add_f32x4(s0, s2);
    }
    store_f32x4(sum, fma_f32x4(load_f32x4(sum), shrink, add_f32x4(pairs[0], pairs[1])));
}

/* value_tile for values that are not all finite: 0 * NaN must not reach a query that does not see
 * the key, so a hidden value counts as zero. `hidden` is -inf where a key is hidden, else zero. */
static void careful_value_tile(float *out, const float *v, const float *weights, const float *correction,
                               const float *hidden, int32_t keys) {
    for (int32_t half = 0; half < QUERY_GROUP; half += 4) {
        for (int32_t c = 0; c < TILE_ROWS; c++) {
            float *at = out + c * QUERY_GROUP + half;
            f32x4 sum = mul_f32x4(load_f32x4(at), load_f32x4(correction + half));
            for (int32_t j = 0; j < keys; j++) {
                f32x4 seen = wasm_f32x4_ne(load_f32x4(hidden + j * QUERY_GROUP + half), splat_f32x4(MINUS_INFINITY));
                f32x4 value = wasm_v128_and(splat_f32x4(v[j * TILE_ROWS + c]), seen);
                sum = fma_f32x4(value, load_f32x4(weights + j * QUERY_GROUP + half), sum);
            }
            store_f32x4(at, sum);
        }
    }
}

static void careful_values(workspace *w, const arguments *args, struct attention_place at, int32_t group,
                           const float *correction) {
    for (int32_t i = 0; i < ATTENTION_KEY_BLOCK * QUERY_GROUP; i++) w->hidden[i] = 0.0f;
    mask_scores(w->hidden, args, at);
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        careful_value_tile(w->run[group].out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, correction, w->hidden,
                           at.keys);
    }
}

/* One group of eight queries meets one packed block of keys. */
static void meet(workspace *w, const arguments *args, struct attention_place at, int32_t group, int finite) {
    struct group_state *run = &w->run[group];
    int32_t padded = (at.keys + TILE_ROWS - 1) / TILE_ROWS * TILE_ROWS;
    for (int32_t j = 0; j < at.keys; j += TILE_ROWS) {
        score_tile(w->scores + j * QUERY_GROUP, w->k + j * args->dim, w->q[group], args->dim);
    }
    if (args->softcap != 0.0f) cap_scores(w->scores, args->softcap, at.keys * QUERY_GROUP);
    int masked = args->mask_kind != MASK_NONE || !diagonal_hides_nothing(args, at);
    if (masked || args->alibi) mask_scores(w->scores, args, at);
    for (int32_t i = at.keys * QUERY_GROUP; i < padded * QUERY_GROUP; i++) w->scores[i] = MINUS_INFINITY;
    float correction[QUERY_GROUP];
    weigh(w->scores, run->max, run->sum, correction, padded);
    weigh(w->scores + 4, run->max + 4, run->sum + 4, correction + 4, padded);
    if (args->dropout) drop_weights(w->scores, args, at);
    if (masked && !finite) {
        careful_values(w, args, at, group, correction);
        return;
    }
    for (int32_t c = 0; c < args->value_dim; c += TILE_ROWS) {
        value_tile(run->out + c * QUERY_GROUP, w->v[c / TILE_ROWS], w->scores, correction, at.keys);
    }
}

/* All the groups of one block of queries meet keys [key, key + keys), at most 64 of them. */
static void visit_keys(workspace *w, const arguments *args, int32_t head, int32_t query, int32_t end, int32_t key,
                       int32_t keys) {
    struct attention_place whole = {head, query, end - query, key, keys};
    if (mask_hides_all(args, whole)) return;
    struct stored_block block = load_block(w, args, head / args->group, key, keys);
    int finite = pack_keys(w, &block, args, keys);
    for (int32_t g = 0; query + g * QUERY_GROUP < end; g++) {
        int32_t first = query + g * QUERY_GROUP;
        int32_t queries = end - first < QUERY_GROUP ? end - first : QUERY_GROUP;
        int32_t centre = first + args->diagonal - key; /* Of the first query; the last sees farthest. */
        int32_t reach = centre + queries + args->after;
        if (reach <= 0 || centre - args->before >= keys) continue;
        int32_t seen = reach < keys ? reach : keys;
        struct attention_place at = {head, first, queries, key, seen};
        if (!mask_hides_all(args, at)) meet(w, args, at, g, finite);
    }
}

/* One run of keys from `key` on: its state apart, then merged into the total. */
static void visit_run(workspace *w, const arguments *args, int32_t head, int32_t query, int32_t end, int32_t key,
                      int32_t key_end) {
    int32_t groups = (end - query + QUERY_GROUP - 1) / QUERY_GROUP;
    for (int32_t g = 0; g < groups; g++) start_group(&w->run[g], args->value_dim);
    for (; key < key_end; key += ATTENTION_KEY_BLOCK) {
        int32_t keys = args->key_end - key < ATTENTION_KEY_BLOCK ? args->key_end - key : ATTENTION_KEY_BLOCK;
        visit_keys(w, args, head, query, end, key, keys);
    }
    for (int32_t g = 0; g < groups; g++) merge_group(&w->total[g], &w->run[g], args->value_dim);
}

static void attend(const arguments *args, int32_t head, int32_t query, int32_t end) {
    workspace *w = args->workspace;
    if (args->key_begin == 0) start_queries(w, args, head, query, end);
    /* The first key that the first query sees, and one past the last that the last query sees. */
    int32_t from = query + args->diagonal - args->before, to = end + args->diagonal + args->after;
    int32_t key = args->key_begin, key_end = args->key_end < to ? args->key_end : to;
    if (from > key) key += (from - key) / ATTENTION_KEY_BLOCK * ATTENTION_KEY_BLOCK;
    while (key < key_end) {
        int32_t next = key / ATTENTION_KEY_RUN * ATTENTION_KEY_RUN + ATTENTION_KEY_RUN;
        visit_run(w, args, head, query, end, key, next < key_end ? next : key_end);
        key = next;
    }
    if (args->finish) finish_queries(w, args, head, query, end);
}

static int arguments_are_sound(const arguments *args) {
    int partial = args->key_begin != 0 || args->key_end != args->keys || !args->finish;
    int single = args->head_end - args->head_begin <= 1 && args->query_end - args->query_begin <= ATTENTION_QUERY_BLOCK;
    return args->dim >= 0 && args->dim <= ATTENTION_MAX_DIM && args->value_dim >= 0 &&
           args->value_dim <= ATTENTION_MAX_DIM && args->group > 0 && args->keys >= 0 && args->key_begin >= 0 &&
           args->key_begin % ATTENTION_KEY_RUN == 0 && args->key_end <= args->keys &&
           (args->partials || (args->storage != STORED_INT8 && (!partial || single)));
}

EXPORT(attention_f32)
int32_t attention_f32(const struct attention_f32_arguments *args) {
    if (!arguments_are_sound(args)) return STATUS_BAD_ARGUMENT;
    if (args->partials) {
        attend_rows(args);
        return STATUS_OK;
    }
    for (int32_t head = args->head_begin; head < args->head_end; head++) {
        for (int32_t query = args->query_begin; query < args->query_end; query += ATTENTION_QUERY_BLOCK) {
            int32_t left = args->query_end - query;
            attend(args, head, query, query + (left < ATTENTION_QUERY_BLOCK ? left : ATTENTION_QUERY_BLOCK));
        }
    }
    return STATUS_OK;
}
