/* out = softmax(scale Q K^T) V for one head, in three steps over a stored matrix of scores [queries][keys].
 *
 *   q (queries, dim), k (keys, dim), v (keys, value_dim), out (queries, value_dim), all contiguous
 *
 * This is the baseline for attention_f32. It calls the module's own matmul and softmax. */
#include "../abi.h"

EXPORT(attention_materialized_f32)
int32_t attention_materialized_f32(void *workspace, const float *q, const float *k, const float *v, float *scores,
                                   float *out, int32_t queries, int32_t keys, int32_t dim, int32_t value_dim,
                                   float scale) {
    int32_t status = matmul_f32(workspace, q, k, 0, scores, queries, keys, dim, dim, 1, 1, dim, keys);
    if (status != STATUS_OK) return status;
    for (int32_t i = 0; i < queries * keys; i++) scores[i] *= scale;
    status = softmax_f32(scores, scores, queries, keys);
    if (status != STATUS_OK) return status;
    return matmul_f32(workspace, scores, v, 0, out, queries, value_dim, keys, keys, 1, value_dim, 1, value_dim);
}
