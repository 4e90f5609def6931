/* The end of attention: merging the runs of keys, then writing the output. */
#ifndef FLASHWASM_ATTENTION_FINISH_H
#define FLASHWASM_ATTENTION_FINISH_H

#include "workspace.h"

/* Merge the state of a run of keys into the total. */
void merge_group(struct group_state *total, const struct group_state *run, int32_t value_dim);
void merge_row(struct row_state *total, const struct row_state *run, int32_t value_dim);

/* Write the output and the log-sum-exp of queries [query, end), or of one query. */
void finish_queries(struct attention_workspace *w, const struct attention_f32_arguments *args, int32_t head,
                    int32_t query, int32_t end);
void finish_row(struct row_state *state, const struct attention_f32_arguments *args, int32_t head, int32_t query);

#endif
