/* What a host sees: exports, status codes and sizes. README.md beside this file is the full text.
 *
 * Every argument is a 32-bit integer (an address in linear memory, a count, a stride) or a float.
 * Strides and counts are in elements. Addresses of float data are multiples of 4; nothing more is
 * asked, though multiples of 64 are faster. A kernel reads its inputs, writes its output and uses
 * the workspace it is handed; it keeps no state and allocates nothing.
 */
#ifndef FLASHWASM_ABI_H
#define FLASHWASM_ABI_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))

enum status {
    STATUS_OK = 0,
    STATUS_BAD_ARGUMENT = 1, /* A count or stride outside the kernel's limits. */
    STATUS_BAD_INDEX = 2,    /* An index outside the table. */
};

enum limits {
    WORKSPACE_BYTES = 1 << 20,   /* What each call may use; see each kernel for how. */
    ATTENTION_MAX_DIM = 256,     /* Head dimension, of keys and of values. */
    ATTENTION_KEY_BLOCK = 64,    /* Keys of one step of the online softmax: part of the result's bits, */
    ATTENTION_KEY_RUN = 512,     /* as are the runs of keys that are summed apart and then merged in order. */
    ATTENTION_PANEL = 16,        /* Keys that lie side by side where a cache stores them. */
    ATTENTION_OPEN = 1 << 29,    /* No bound on how far a query sees. */
    ATTENTION_QUERY_BLOCK = 128, /* Queries that share one packing of keys and values. */
    TOP_K_MAX_DIM = 16384,
    INDEX_MAX_DIM = 16384,
    INDEX_MAX_EF = 4096,   /* Vectors that a search of the graph keeps. */
    INDEX_MAX_LINKS = 256, /* Links of a node on one level. */
    LORA_MAX_RANK = 64,
    LORA_MAX_DIM = 4096,        /* Of input and of output. */
    LORA_MAX_CANDIDATES = 1024, /* That one sample may compare. */
};

enum metric { METRIC_COSINE = 0, METRIC_DOT = 1, METRIC_L2 = 2 };
enum mask_kind { MASK_NONE = 0, MASK_BOOLEAN = 1, MASK_ADDITIVE = 2 };

/* How keys and values are stored: rows of floats or of halves, or as a KVCache has them, made to be
 * read in one stream. There, key j lies in a panel of 16 keys and column c in one of 16 columns:
 *
 *   PANELS: keys [j / 16][dim][16], values [c / 16][capacity][16], floats
 *   INT8:   keys [j / 16][dim / 2][16][2], values [c / 16][capacity / 2][16][2], where x stands for
 *           x * scales[key]; dimensions go up to a multiple of eight, with zeros
 *
 * Columns go up to a multiple of 16, with zeros. */
enum storage { STORED_ROWS = 0, STORED_HALVES = 1, STORED_PANELS = 2, STORED_INT8 = 3 };

/* The arguments of attention, read from linear memory since they are too many to pass.
 *
 * Query i sees key j where i + diagonal - before <= j <= i + diagonal + after: `after` is 0 for the
 * causal rule, and either is ATTENTION_OPEN where there is no bound on that side. */
struct attention_f32_arguments {
    void *workspace;
    const float *q;
    const void *k, *v; /* By `storage`. */
    float *out;
    float *lse;                       /* Null where it is not wanted. */
    const void *mask;                 /* Bytes or floats, by mask_kind. */
    const float *alibi;               /* A slope for each query head, or null. */
    const float *sinks;               /* One more logit for each query head, or null. */
    const float *k_scales, *v_scales; /* A factor for each key and key head, with int8. */
    float *partials;                  /* What rows have summed up, or null: see attention_rows.c. */
    int32_t head_begin, head_end;     /* Query heads to compute. */
    int32_t group;                    /* Query heads to a key head: head h reads key head h / group. */
    int32_t query_begin, query_end;   /* Query rows to compute. */
    int32_t key_begin, key_end;       /* Keys to visit. Fewer than all: see attention.c. */
    int32_t finish;                   /* Whether to write the output and the log-sum-exp. */
    int32_t queries, keys;            /* All of them. */
    int32_t dim, value_dim;
    int32_t storage, capacity; /* Keys there is room for, as panels of values and scales of heads lie apart. */
    int32_t q_stride, k_stride, v_stride, out_stride; /* From one row to the next. */
    int32_t q_head_stride, k_head_stride, v_head_stride, out_head_stride, lse_head_stride;
    int32_t mask_kind, mask_head_stride, mask_query_stride, mask_key_stride;
    int32_t diagonal, before, after;
    uint32_t seed_low, seed_high;            /* What dropout draws from, with the numbers of batch entry, */
    uint32_t batch, first_head, first_query; /* head, query and key: head 0 and row 0 have these. */
    uint32_t dropout;                        /* Of 2^32: how many weights are dropped; 0 for none. */
    float kept_scale;                        /* What the others are multiplied with. */
    float scale;
    float softcap; /* Scores become softcap * tanh(score / softcap); 0 for none. */
};

/* The arguments of attention's gradient: those of the call whose gradient it is, with its out and its lse
 * for inputs, and what it takes and gives besides. It adds to dq, dk and dv. */
struct attention_backward_f32_arguments {
    struct attention_f32_arguments forward;
    const float *dout;
    float *dq, *dk, *dv;
    int32_t dout_stride, dq_stride, dk_stride, dv_stride; /* From one row to the next. */
    int32_t dout_head_stride, dq_head_stride, dk_head_stride, dv_head_stride;
};

/* Vectors of an index are finite, and for dot and l2 so small that no distance overflows: each component
 * is below 2^55 in magnitude. Positions are below 2^31. The keys of results order by distance, then by
 * position; index.h has them.
 *
 * index_store puts `count` vectors at position `first` and after: into rows or panels, and where `scales`
 * is not null as codes into rows or panels of those. */
struct index_store_f32_arguments {
    void *workspace;
    const float *x; /* [count][dim] */
    float *rows, *panels;
    int8_t *codes, *code_panels;
    float *scales, *squares; /* What a code counts, and the squared length of the codes. */
    float *errors;           /* At least how far the codes are from the vector, or null. */
    int32_t first, count, dim;
    int32_t metric;      /* Cosine: the vectors are brought to unit length. */
    int32_t code_metric; /* Cosine: the codes count as of unit length. */
};

/* Exact distances of queries from rows: the best k of each query. */
struct index_score_f32_arguments {
    void *workspace;
    const float *queries; /* [query_count][dim] */
    const float *rows;
    const uint8_t *mask; /* A byte for each position, 0 to leave it out; or null. */
    uint64_t *keys;      /* [query_count][k], in and out: heaps. */
    int32_t query_count, begin, end, dim, k, metric;
};

/* Every vector of an index in panels, as floats or as codes: the best k of each query. `begin` is a
 * multiple of 8. From codes, the distances of the keys are lower bounds of those from floats. With
 * `candidates` a query meets those alone, of which it has end - begin: keys of lower bounds, which rise. */
struct flat_search_arguments {
    void *workspace;
    const float *queries; /* [query_count][dim] */
    const void *panels;
    const float *scales, *squares, *errors; /* For codes. */
    const uint8_t *mask;
    const uint64_t *candidates; /* Or null. */
    uint64_t *keys;
    int32_t query_count, begin, end, dim, k, metric;
};

/* A graph over vectors, and what is done to it.
 *
 * Every node has 2 m links on level 0, and m on each level above, up to its own. Where a node has fewer,
 * the rest of the list holds the node itself. */
struct hnsw_arguments {
    void *workspace;
    const float *rows;
    const int8_t *codes; /* What the search reads, or null for the rows. */
    const float *scales, *squares;
    uint32_t *links;          /* [nodes][2 m] */
    uint32_t *upper_links;    /* [blocks][m] */
    const uint32_t *upper_at; /* The block of each node's level 1; the next levels follow. */
    const uint8_t *levels;
    uint32_t *entry;     /* Where searches begin, 0xffffffff while there is no node; then how many were inserted. */
    const void *items;   /* Queries [count][dim], or nodes to insert or to repair. */
    uint64_t *keys;      /* Results of a search, [count][k], sorted. */
    uint32_t *visited;   /* A bit for each node, all of them zero before and after. */
    const uint8_t *gone; /* For a repair: a byte for each node, not 0 where it is removed. */
    int32_t nodes, dim, metric, m, count, k, ef;
};

/* A low-rank adapter, y = x + scale B A x, or without the first x where the dimensions differ. Everything that
 * is learned lies in blocks of one layout: A [rank][in], then B transposed [rank][out], where rows go up to a
 * multiple of four with zeros. */
struct lora {
    float *weights;
    float *first, *second;  /* Adam's moments, or null for plain gradient descent. */
    float *fisher, *anchor; /* What elastic weight consolidation holds on to, or null. */
    float *outputs;         /* Room for 2 (1 + candidates) rows of outputs. */
    int32_t in_dim, out_dim, rank;
    float scale;  /* alpha / rank */
    float shrink; /* Learning rate times weight decay. */
    float ewc_lambda;
};

/* A vector whose squared length is below this has no direction: its cosine is 0, and so is that one's gradient. */
#define LORA_ZERO 1e-36f

enum lora_loss { LORA_REGRESSION = 0, LORA_CONTRASTIVE = 1, LORA_FEEDBACK = 2 };

/* What one step learns from; lora_update.c has the losses. */
struct lora_sample {
    int32_t loss;       /* enum lora_loss */
    int32_t candidates; /* Rows after x: the target; or the positive, then the negatives; or the one judged. */
    int32_t adapted;    /* Whether they go through the adapter too. */
    int32_t metric;     /* METRIC_COSINE or METRIC_DOT */
    int32_t accepted;   /* Of the candidate that feedback is on. */
    float temperature, threshold, reward;
    int32_t unused[8]; /* The rows begin 64 bytes after the structure. */
    float rows[];      /* x, then the candidates, each as long as the longer of input and output, as weights lie. */
};

int32_t matmul_f32(void *workspace, const float *a, const float *b, const float *bias, float *c, int32_t m, int32_t n,
                   int32_t k, int32_t a_row_stride, int32_t a_column_stride, int32_t b_row_stride,
                   int32_t b_column_stride, int32_t c_row_stride);
int32_t vecadd_f32(const float *a, const float *b, float *out, int32_t n);
int32_t softmax_f32(const float *x, float *out, int32_t rows, int32_t columns);
int32_t layer_norm_f32(const float *x, const float *weight, const float *bias, float *out, int32_t rows,
                       int32_t columns, float eps);
int32_t rms_norm_f32(const float *x, const float *weight, float *out, int32_t rows, int32_t columns, float eps);
int32_t gelu_f32(const float *x, float *out, int32_t n);
int32_t gelu_tanh_f32(const float *x, float *out, int32_t n);
int32_t embedding_f32(const int32_t *ids, const float *table, float *out, int32_t n, int32_t rows, int32_t columns);
int32_t rotary_embedding_f32(const float *x, const float *cosines, const float *sines, float *out, int32_t rows,
                             int32_t heads, int32_t dim, int32_t rotary_dim, int32_t interleaved, int32_t row_stride,
                             int32_t head_stride);
int32_t mean_pool_f32(const float *x, const int32_t *offsets, float *out, int32_t segments, int32_t columns,
                      int32_t normalize);
int32_t cosine_top_k_f32(void *workspace, const float *queries, const float *corpus, float *scores, int32_t *indices,
                         int32_t query_count, int32_t row_count, int32_t dim, int32_t k, int32_t first_index,
                         int32_t metric);
int32_t attention_f32(const struct attention_f32_arguments *arguments);
int32_t attention_backward_f32(const struct attention_backward_f32_arguments *arguments);
int32_t attention_materialized_f32(void *workspace, const float *q, const float *k, const float *v, float *scores,
                                   float *out, int32_t queries, int32_t keys, int32_t dim, int32_t value_dim,
                                   float scale);
int32_t index_store_f32(const struct index_store_f32_arguments *arguments);
int32_t index_score_f32(const struct index_score_f32_arguments *arguments);
int32_t flat_search_f32(const struct flat_search_arguments *arguments);
int32_t flat_search_i8(const struct flat_search_arguments *arguments);
int32_t hnsw_insert_f32(const struct hnsw_arguments *arguments);
int32_t hnsw_search_f32(const struct hnsw_arguments *arguments);
int32_t hnsw_repair_f32(const struct hnsw_arguments *arguments);
int32_t lora_apply_f32(const struct lora *lora, const float *x, float *out, int32_t rows);
int32_t lora_update_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *loss,
                        float step_size, float correction);
int32_t lora_fisher_f32(void *workspace, const struct lora *lora, const struct lora_sample *sample, float *fisher,
                        float weight);

#endif
