/* The interface between kernels and host: exports, status codes, limits and structures of arguments. docs/abi.md
 * explains it to authors of hosts.
 *
 * Every argument is a 32-bit integer (an address in linear memory, a count, a stride, a flag) or a float. Strides and
 * counts are in elements. Addresses of floats and structures are multiples of 4; multiples of 64 are faster. A kernel
 * reads its inputs, writes its output and uses the workspace that the host passes. It keeps no state and allocates no
 * memory. The file of each kernel begins with its formula, shapes and preconditions.
 */
#ifndef FLASHWASM_ABI_H
#define FLASHWASM_ABI_H

#include <stddef.h>
#include <stdint.h>

#define EXPORT(name) __attribute__((export_name(#name), visibility("default")))

enum status {
    STATUS_OK = 0,
    STATUS_BAD_ARGUMENT = 1, /* An argument is outside the kernel's limits. */
    STATUS_BAD_INDEX = 2,    /* A row number is outside the table of embedding_f32. */
};

enum limits {
    WORKSPACE_BYTES = 1 << 20,     /* The size of the workspace of a call. */
    ATTENTION_MAX_DIM = 256,       /* The largest head dimension, of keys and of values. */
    ATTENTION_KEY_BLOCK = 64,      /* Keys in one step of the online softmax. This number and the next decide the */
    ATTENTION_KEY_RUN = 512,       /* order of additions, so changing them changes the bits of results. */
    ATTENTION_PANEL = 16,          /* Keys, or columns of values, that lie side by side in a panel. */
    ATTENTION_OPEN = 1 << 29,      /* For `before` and `after`: no limit on that side. */
    ATTENTION_QUERY_BLOCK = 128,   /* The most queries of a call that processes a part of the keys. */
    MATMUL_I8_MAX_DEPTH = 1 << 16, /* The largest k of matmul_i8; sums of 127 * 127 * k then fit 32 bits. */
    TOP_K_MAX_DIM = 16384,
    INDEX_MAX_DIM = 16384,
    INDEX_MAX_EF = 4096,   /* The maximum number of nodes that a search of the graph keeps. */
    INDEX_MAX_LINKS = 256, /* The greatest m: links of a node on one level above 0. */
    LORA_MAX_RANK = 64,
    LORA_MAX_DIM = 4096,        /* The largest dimension of inputs and of outputs. */
    LORA_MAX_CANDIDATES = 1024, /* The maximum number of candidates of one sample. */
};

enum activation { ACTIVATION_NONE = 0, ACTIVATION_GELU = 1, ACTIVATION_GELU_TANH = 2 };
enum metric { METRIC_COSINE = 0, METRIC_DOT = 1, METRIC_L2 = 2 };
enum mask_kind { MASK_NONE = 0, MASK_BOOLEAN = 1, MASK_ADDITIVE = 2 };

/* The layout of keys and values: rows of floats, or the panels of a KVCache, which a single query can read in one
 * sequential pass. In panels, key j lies in a panel of 16 keys, and column c of the values in a panel of 16 columns:
 *
 *   PANELS: keys [j / 16][dim][16], values [c / 16][capacity][16], floats
 *   HALVES: the same in half precision
 *   INT8:   keys [j / 16][dim / 2][16][2], values [c / 16][capacity / 2][16][2]; the number x of key j represents
 *           x * scales[j]; dim is padded with zeros to a multiple of eight
 *
 * Columns are padded with zeros to a multiple of 16. */
enum storage { STORED_ROWS = 0, STORED_HALVES = 1, STORED_PANELS = 2, STORED_INT8 = 3 };

/* The arguments of attention. The kernel reads them from linear memory, because there are too many to pass directly.
 *
 * Query i sees key j if i + diagonal - before <= j <= i + diagonal + after. For the causal rule `after` is 0. */
struct attention_f32_arguments {
    void *workspace;
    const float *q;
    const void *k, *v; /* `storage` is their layout. */
    float *out;
    float *lse;                       /* Output for the log-sum-exp; or null. */
    const void *mask;                 /* Bytes or floats, by mask_kind; or null. */
    const float *alibi;               /* A slope for each query head; or null. */
    const float *sinks;               /* One more logit for each query head; or null. */
    const float *k_scales, *v_scales; /* A factor for each key of each key head, with STORED_INT8. */
    float *partials;                  /* States of single queries; or null. See attention/one_query.c. */
    int32_t head_begin, head_end;     /* Query heads to compute. */
    int32_t group;                    /* Query heads for each key head: query head h reads key head h / group. */
    int32_t query_begin, query_end;   /* Query rows to compute. */
    int32_t key_begin, key_end;       /* Keys to visit: all, or a part; see attention/forward.c. */
    int32_t finish;                   /* 1 to write the output and the log-sum-exp. */
    int32_t queries, keys;            /* The numbers of all queries and keys. */
    int32_t dim, value_dim;
    int32_t storage, capacity; /* enum storage; the room for keys in panels of values and in a head's scales. */
    int32_t q_stride, k_stride, v_stride, out_stride; /* The elements from one row to the next. */
    int32_t q_head_stride, k_head_stride, v_head_stride, out_head_stride, lse_head_stride;
    int32_t mask_kind, mask_head_stride, mask_query_stride, mask_key_stride;
    int32_t diagonal, before, after;
    uint32_t seed_low, seed_high;            /* The seed of dropout. A weight's random number also depends on */
    uint32_t batch, first_head, first_query; /* these, which are the numbers of head 0 and of query 0. */
    uint32_t dropout;                        /* The probability that a weight is dropped, times 2^32; 0 for none. */
    float kept_scale;                        /* The factor of the remaining weights. */
    float scale;
    float softcap; /* Scores become softcap * tanh(score / softcap), unless it is 0. */
};

/* The arguments of attention's gradient. `forward` contains the arguments of the forward call; its out and lse are
 * inputs here. The kernel adds to dq, dk and dv. */
struct attention_backward_f32_arguments {
    struct attention_f32_arguments forward;
    const float *dout;
    float *dq, *dk, *dv;
    int32_t dout_stride, dq_stride, dk_stride, dv_stride; /* The elements from one row to the next. */
    int32_t dout_head_stride, dq_head_stride, dk_head_stride, dv_head_stride;
};

/* The vectors of an index are finite. For dot and l2 each component is below 2^55 in magnitude, so that no distance
 * overflows. Positions are below 2^31. The keys of results order by distance, then by position: see indexes/keys.h.
 *
 * index_store_f32 stores `count` vectors at positions first, first + 1, ...: in `rows`, in `panels`, or both. If
 * `scales` is not null it also stores their codes, in `codes`, in `code_panels`, or both. */
struct index_store_f32_arguments {
    void *workspace;
    const float *x; /* [count][dim] */
    float *rows, *panels;
    int8_t *codes, *code_panels;
    float *scales, *squares; /* The number that code 1 represents; the squared length of scale * codes. */
    float *errors;           /* An upper bound of the distance between a vector and its scale * codes; or null. */
    int32_t first, count, dim;
    int32_t metric;      /* For cosine the vectors are scaled to unit length. */
    int32_t code_metric; /* For cosine the scale is such that scale * codes has unit length. */
};

/* Searches rows [begin, end) for the k nearest to each query. */
struct index_score_f32_arguments {
    void *workspace;
    const float *queries; /* [query_count][dim] */
    const float *rows;
    const uint8_t *mask; /* A byte for each position, 0 to exclude it; or null. */
    uint64_t *keys;      /* [query_count][k], heaps, which the call updates. */
    int32_t query_count, begin, end, dim, k, metric;
};

/* Searches positions [begin, end) of panels, of floats or of codes, for the k nearest to each query. `begin` is a
 * multiple of 8. The distances in the keys from a search of codes are lower bounds of the exact distances. If
 * `candidates` is not null, a search of floats ranks only the candidates: for each query, end - begin sorted keys
 * with lower bounds. */
struct flat_search_arguments {
    void *workspace;
    const float *queries; /* [query_count][dim] */
    const void *panels;
    const float *scales, *squares, *errors; /* Used for codes only. */
    const uint8_t *mask;
    const uint64_t *candidates; /* [query_count][end - begin]; or null. */
    uint64_t *keys;
    int32_t query_count, begin, end, dim, k, metric;
};

/* A graph over vectors, and the items that a call inserts, repairs or searches.
 *
 * Every node has a list of 2 m links on level 0, and a list of m links on each higher level up to the node's own. If
 * a node has fewer links, the node itself fills the rest of the list. */
struct hnsw_arguments {
    void *workspace;
    const float *rows;
    const int8_t *codes; /* The codes with which the graph is searched; or null to search by rows. */
    const float *scales, *squares;
    uint32_t *links;          /* [nodes][2 m] */
    uint32_t *upper_links;    /* [blocks][m] */
    const uint32_t *upper_at; /* The block of each node's level 1; the blocks of its other levels follow. */
    const uint8_t *levels;
    uint32_t
        *entry; /* [0]: the node where searches begin, 0xffffffff if there is none; [1]: the number of insertions. */
    const void *items;   /* Queries [count][dim], or the numbers of nodes to insert or to repair. */
    uint64_t *keys;      /* The results of a search, [count][k], sorted. */
    uint32_t *visited;   /* A bit for each node; all bits are zero before and after a call. */
    const uint8_t *gone; /* For a repair: a byte for each node, 0 unless it is removed. */
    int32_t nodes, dim, metric, m, count, k, ef;
};

/* A low-rank adapter: y = x + scale B A x, or scale B A x if the dimensions differ. Weights, moments, importance and
 * anchor have one layout: A [rank][in], then B transposed [rank][out], whose rows are padded to a multiple of four. */
struct lora {
    float *weights;
    float *first, *second;  /* The moments of Adam; or null for plain gradient descent. */
    float *fisher, *anchor; /* For elastic weight consolidation: importance and old value of each weight; or null. */
    float *outputs;         /* Room for 2 (1 + candidates) rows of outputs. */
    int32_t in_dim, out_dim, rank;
    float scale;  /* alpha / rank */
    float shrink; /* The learning rate times the weight decay. */
    float ewc_lambda;
};

/* A vector whose squared length is below this is treated as zero: its cosine with any other vector is 0, and so is
 * the gradient of that cosine. */
#define LORA_ZERO 1e-36f

enum lora_loss { LORA_REGRESSION = 0, LORA_CONTRASTIVE = 1, LORA_FEEDBACK = 2 };

/* One training sample; lora/loss.c defines the losses. */
struct lora_sample {
    int32_t loss;       /* enum lora_loss */
    int32_t candidates; /* Rows after x: a target; or a positive, then negatives; or the judged candidate. */
    int32_t adapted;    /* 1 if the candidates are adapted too. */
    int32_t metric;     /* METRIC_COSINE or METRIC_DOT */
    int32_t accepted;   /* For feedback: 1 if the candidate was accepted. */
    float temperature, threshold, reward;
    int32_t unused[8]; /* Pads the structure to 64 bytes, where the rows begin. */
    float rows[];      /* x, then the candidates; each row has the longer of the padded lengths of input and output. */
};

int32_t matmul_f32(void *workspace, const float *a, const float *b, const float *bias, float *c, int32_t m, int32_t n,
                   int32_t k, int32_t a_row_stride, int32_t a_column_stride, int32_t b_row_stride,
                   int32_t b_column_stride, int32_t c_row_stride);
int32_t matmul_i8(void *workspace, const float *a, const int8_t *b, const float *b_scales, const int32_t *b_sums,
                  const float *bias, float *c, int32_t m, int32_t n, int32_t k, int32_t a_row_stride,
                  int32_t c_row_stride, int32_t activation);
int32_t vecadd_f32(const float *a, const float *b, float *out, int32_t n);
int32_t softmax_f32(const float *x, float *out, int32_t rows, int32_t columns);
int32_t layer_norm_f32(const float *x, const float *weight, const float *bias, float *out, int32_t rows,
                       int32_t columns, float eps);
int32_t rms_norm_f32(const float *x, const float *weight, float *out, int32_t rows, int32_t columns, float eps);
/* Calls on the pieces of a row, pass after pass, give the same bits as one call on the whole row. Pieces begin at
 * multiples of 4096 elements. Each row has a state. The state of softmax is the greatest element, initially -inf,
 * and the sum, initially 0. */
enum softmax_pass { SOFTMAX_MAX = 0, SOFTMAX_EXPONENTIALS = 1, SOFTMAX_DIVIDE = 2 };
int32_t softmax_piece_f32(const float *x, float *out, float *state, int32_t n, int32_t pass);
/* The state is the sum of the row and the sum of its squared differences from the mean, both initially 0. RMS norm
 * has no first pass and no bias, and its own last pass. `columns` is the length of the whole row. */
enum norm_pass { NORM_SUM = 0, NORM_SQUARES = 1, NORM_WRITE = 2, NORM_WRITE_RMS = 3 };
int32_t norm_piece_f32(const float *x, const float *weight, const float *bias, float *out, float *state, int32_t n,
                       int32_t columns, float eps, int32_t pass);
/* x [rows][n] are parts of rows with `columns` elements. `length` is the number of all rows. The state is the
 * squared length. */
enum mean_pool_pass { MEAN_POOL_CLEAR = 0, MEAN_POOL_ADD = 1, MEAN_POOL_MEAN = 2, MEAN_POOL_NORMALIZE = 3 };
int32_t mean_pool_piece_f32(const float *x, float *out, float *state, int32_t rows, int32_t n, int32_t columns,
                            int32_t length, int32_t pass);
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
                         int32_t metric, int32_t seen);
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
