/** The variants of the kernels, from the fastest to the slowest. */
export type Variant = "relaxed" | "simd128" | "scalar";
export const VARIANTS: readonly Variant[];

/** An array: its elements in C order, and its shape. */
export interface NDArray<Data> {
  data: Data;
  shape: number[];
}
export type Floats = NDArray<Float32Array>;

/** Score of a row for a query: the cosine, the dot product, or minus the squared Euclidean distance. */
export type Metric = "cosine" | "dot" | "l2";

export interface LoadOptions {
  /** The variant to run. "auto", the default, is the fastest that this browser can run. */
  variant?: "auto" | Variant;
  /**
   * Number of threads, 1 by default. One computes on the calling thread. More are workers, which need a page that is
   * cross-origin isolated; on another page there is a warning, and one thread is used.
   */
  threads?: number;
  /** Bytes that linear memory may grow to, at most 4 GiB; 1 GiB by default. */
  maxMemory?: number;
}

export interface AttentionOptions {
  /**
   * With an offset, query i sees the keys up to i + offset. "top_left" is the offset 0; "bottom_right" lets the last
   * query see all keys; true is the offset 0 where there are as many queries as keys. The default is false.
   */
  causal?: boolean | "top_left" | "bottom_right" | number;
  /** Factor of the scores; 1 / sqrt(D) by default. */
  scale?: number | null;
  /** Numbers of keys that a query sees to the left and to the right of its diagonal; null leaves a side open. */
  window?: [left: number | null, right: number | null] | null;
  /** Replaces each score s by softcap * tanh(s / softcap); 0 leaves the scores as they are. */
  softcap?: number | null;
  /** Bytes, of which 0 hides a key, or floats that are added to the scores; it broadcasts to (..., Hq, Lq, Lk). */
  mask?: NDArray<Uint8Array> | Floats | null;
  /** Number of keys that count, for each batch entry: the indices into the axes before the head axis, in C order. */
  kvLengths?: Int32Array | number[] | null;
  /** Probability that a weight is dropped, from 0, the default, to less than 1. */
  dropout?: number;
  /** Seed of dropout, from 0 to 2 ** 64 - 1; drawn at random by default. */
  seed?: number | bigint | null;
  /** Slope of each query head: slope times the distance from the diagonal is subtracted from the score. */
  alibiSlopes?: Float32Array | number[] | null;
  /** One more logit for each query head, which takes weight but has no value. */
  sinks?: Float32Array | number[] | null;
  /** True to return the logarithm of each row's sum of exponentials too. */
  returnLse?: boolean;
}

export interface FlatIndexOptions {
  /** Score to rank by; "cosine" by default. */
  metric?: Metric;
}

/** Vectors by id, searched exactly: every query is compared with every vector. */
export interface FlatIndex<Id extends number | string = number | string> {
  readonly dim: number;
  readonly metric: Metric;
  /** Number of vectors. */
  readonly size: number;
  /** Ids of all vectors, in the order in which they were added. */
  readonly ids: Id[];
  /** Number of bytes that the vectors take in linear memory, room for more included. */
  readonly nbytes: number;
  /** Add vectors (n, dim), with ids or with the next whole numbers. */
  add(vectors: Floats, ids?: Id[] | null): Promise<void>;
  /** Remove the vectors of some ids; those after them move forward and keep their order. */
  remove(ids: Id[]): Promise<void>;
  /**
   * Find the k vectors that score highest with each query (n, dim). Where there are fewer than k, the score is
   * -Infinity and the id -1, or null if the ids are strings. A filter is a byte for each vector or a set of ids.
   */
  search(
    queries: Floats,
    k: number,
    options?: { filter?: Uint8Array | Set<Id> | null },
  ): Promise<{ scores: Floats; ids: NDArray<(Id | null)[]> }>;
  /** Give the memory of the vectors back, after the operations that were asked for before. */
  close(): Promise<void>;
}

/** What `load` returns. It runs one operation at a time. Arrays must not change until the promise is settled. */
export interface Runtime {
  readonly variant: Variant;
  /** SHA-256 of the module, which names the version of the kernels. */
  readonly moduleSha256: string;
  readonly threads: number;
  /** Bytes of linear memory in use by indexes and by operations that run. */
  readonly memoryInUse: number;
  readonly FlatIndex: new <Id extends number | string = number | string>(
    dim: number,
    options?: FlatIndexOptions,
  ) => FlatIndex<Id>;
  /**
   * Compute exact attention of q (..., Hq, Lq, D), k (..., Hk, Lk, D) and v (..., Hk, Lk, Dv). Query head h reads key
   * head floor(h / (Hq / Hk)). Two axes are one head.
   */
  attention(
    q: Floats,
    k: Floats,
    v: Floats,
    options: AttentionOptions & { returnLse: true },
  ): Promise<{ out: Floats; lse: Floats }>;
  attention(q: Floats, k: Floats, v: Floats, options?: AttentionOptions & { returnLse?: false }): Promise<Floats>;
  /** Multiply matrices (..., m, k) and (..., k, n), whose leading axes broadcast; bias (n,) is added to every row. */
  matmul(a: Floats, b: Floats, options?: { bias?: Float32Array | number[] | null }): Promise<Floats>;
  /** Find the k rows of a corpus (N, D) that score highest with each query (n, D). */
  topK(
    queries: Floats,
    corpus: Floats,
    k: number,
    options?: { metric?: Metric },
  ): Promise<{ scores: Floats; indices: NDArray<Int32Array> }>;
  digest: typeof digest;
  /** End the workers and let go of linear memory, after the operations that were asked for before. */
  close(): Promise<void>;
}

/** Load the kernels. */
export function load(options?: LoadOptions): Promise<Runtime>;

/** Return the SHA-256 of the bytes of arrays, one after another, in hexadecimal. */
export function digest(...arrays: (ArrayBufferView | NDArray<ArrayBufferView>)[]): Promise<string>;

/** Base class of every error that flashwasm throws on purpose. */
export class FlashWasmError extends Error {}
/** An argument has a shape or a value that the operation cannot take. */
export class ShapeError extends FlashWasmError {}
/** An argument has a type that the operation cannot take. */
export class DTypeError extends FlashWasmError {}
/** Linear memory is too small for the operation. */
export class OutOfMemoryError extends FlashWasmError {}
/** The browser lacks something that was asked for; the message says what. */
export class CapabilityError extends FlashWasmError {}
/** The runtime or the index was closed. */
export class ClosedError extends FlashWasmError {}
