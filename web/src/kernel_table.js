// The kernels that this package calls, and limits, copied from src/flashwasm/kernel_table.py. A test compares the two.
//
// Letters of a signature: `p` is an address in linear memory, `u` another unsigned 32-bit number, `i` a 32-bit count,
// stride or flag, `f` a float. If a kernel has a workspace, its address is passed first.

export const KERNELS = {
  matmul_f32: { signature: "ppppiiiiiiii", workspace: true, inMemory: false },
  cosine_top_k_f32: { signature: "ppppiiiiiii", workspace: true, inMemory: false },
  attention_f32: {
    signature: "p".repeat(11) + "i".repeat(30) + "u".repeat(6) + "fff",
    workspace: true,
    inMemory: true,
  },
  index_store_f32: { signature: "ppppppppiiiii", workspace: true, inMemory: true },
  flat_search_f32: { signature: "ppppppppiiiiii", workspace: true, inMemory: true },
};

export const LIMITS = {
  WORKSPACE_BYTES: 1 << 20,
  ATTENTION_MAX_DIM: 256,
  ATTENTION_KEY_RUN: 512,
  ATTENTION_OPEN: 1 << 29,
  ATTENTION_QUERY_BLOCK: 128,
  TOP_K_MAX_DIM: 16384,
  INDEX_MAX_DIM: 16384,
};

export const METRICS = { cosine: 0, dot: 1, l2: 2 };
export const MASK_NONE = 0;
export const MASK_BOOLEAN = 1;
export const MASK_ADDITIVE = 2;
