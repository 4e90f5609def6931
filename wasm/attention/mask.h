/* The steps between scores and weights: softcap, ALiBi, masks. Also the range of keys that a query may see. */
#ifndef FLASHWASM_ATTENTION_MASK_H
#define FLASHWASM_ATTENTION_MASK_H

#include "workspace.h"

/* score = softcap * tanh(score / softcap), for `count` scores, a multiple of four. */
void cap_scores(float *scores, float softcap, int32_t count);

/* Adds ALiBi and an additive mask to scores[keys][8 queries], and sets the scores of hidden keys to -inf. */
void mask_scores(float *scores, const struct attention_f32_arguments *args, struct attention_place at);

/* The same for the scores of one query, [keys]. */
void mask_row(float *scores, const struct attention_f32_arguments *args, struct attention_place at);

/* Returns 1 if a boolean mask hides every key of the place from every query of the place. */
int mask_hides_all(const struct attention_f32_arguments *args, struct attention_place at);

/* Returns 1 if every query of the place is close enough to the diagonal to see every key of the place. */
INLINE int diagonal_hides_nothing(const struct attention_f32_arguments *args, struct attention_place at) {
    int32_t first = at.query + args->diagonal, last = first + at.queries - 1;
    return at.key >= last - args->before && at.key + at.keys - 1 <= first + args->after;
}

/* Returns 1 if some key of the place may be hidden from some query of the place. */
INLINE int may_hide(const struct attention_f32_arguments *args, struct attention_place at) {
    return args->mask_kind != MASK_NONE || !diagonal_hides_nothing(args, at);
}

/* Returns the number of the place's keys, from the first, that its queries can reach; 0 if they see none. The last
 * query reaches farthest. */
INLINE int32_t keys_in_reach(const struct attention_f32_arguments *args, struct attention_place at) {
    int32_t centre = at.query + args->diagonal - at.key; /* Of the first query. */
    int32_t reach = centre + at.queries + args->after;
    if (reach <= 0 || centre - args->before >= at.keys) return 0;
    return reach < at.keys ? reach : at.keys;
}

/* The keys [begin, end) of a call that queries [query, query_end) may see; `begin` is the start of a block. */
struct key_range {
    int32_t begin, end;
};
INLINE struct key_range keys_to_visit(const struct attention_f32_arguments *args, int32_t query, int32_t query_end) {
    int32_t from = query + args->diagonal - args->before, to = query_end + args->diagonal + args->after;
    struct key_range keys = {args->key_begin, args->key_end < to ? args->key_end : to};
    if (from > keys.begin) keys.begin += (from - keys.begin) / ATTENTION_KEY_BLOCK * ATTENTION_KEY_BLOCK;
    return keys;
}

#endif
