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
  /** The variant to run. "auto", the default, means the fastest variant that this browser can run. */
  variant?: "auto" | Variant;
  /**
   * Number of threads, 1 by default. One thread is the calling thread. More threads are workers, which require a
   * cross-origin isolated page; on other pages, `load` prints a warning and uses one thread.
   */
  threads?: number;
  /** Maximum size of linear memory in bytes, at most 4 GiB; 1 GiB by default. */
  maxMemory?: number;
}

export interface AttentionOptions {
  /**
   * false, the default, lets every query see all keys. With an offset, query i sees the keys up to i + offset.
   * "top_left" is offset 0. "bottom_right" is the offset with which the last query sees all keys. true is offset 0 and
   * requires as many queries as keys.
   */
  causal?: boolean | "top_left" | "bottom_right" | number;
  /** Number that the products of queries and keys are multiplied by; 1 / sqrt(D) by default. */
  scale?: number | null;
  /** Numbers of keys that a query sees to the left and to the right of its diagonal; null means no limit. */
  window?: [left: number | null, right: number | null] | null;
  /** Bound of the scores: each score s becomes softcap * tanh(s / softcap); 0 means no bound. */
  softcap?: number | null;
  /** Bytes, where 0 hides a key, or floats that are added to the scores. The mask broadcasts to (..., Hq, Lq, Lk). */
  mask?: NDArray<Uint8Array> | Floats | null;
  /** Number of keys that are not padding, for each index into the axes before the head axis, in C order. */
  kvLengths?: Int32Array | number[] | null;
  /** Probability of dropping a weight, from 0, the default, to less than 1. */
  dropout?: number;
  /** Seed of dropout, from 0 to 2 ** 64 - 1; random by default. */
  seed?: number | bigint | null;
  /** ALiBi slope of each query head: the slope times the distance from the diagonal is subtracted from the score. */
  alibiSlopes?: Float32Array | number[] | null;
  /** One more logit for each query head, which takes part in the softmax but has no value. */
  sinks?: Float32Array | number[] | null;
  /** true to return the logarithm of each row's sum of exponentials too. */
  returnLse?: boolean;
}

export interface FlatIndexOptions {
  /** Score to rank by; "cosine" by default. */
  metric?: Metric;
}

/** Typed arrays that can hold integer ids. */
type WholeNumbers = Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | Float64Array;

/** Ids: an array, or a typed array of whole numbers. */
export type Ids<Id extends number | string> =
  | readonly Id[]
  | (number extends Id ? WholeNumbers : never);

/** Exact vector index: a search compares every query with every vector. Each vector has an id. */
export interface FlatIndex<Id extends number | string = number | string> {
  readonly dim: number;
  readonly metric: Metric;
  /** Number of vectors. */
  readonly size: number;
  /** Ids of all vectors, in the order in which they were added. */
  readonly ids: Id[];
  /** Number of bytes that the vectors occupy in linear memory, including room for more. */
  readonly nbytes: number;
  /** Add vectors (n, dim) with the given ids, or with the next whole numbers as ids. */
  add(vectors: Floats, ids?: Ids<Id> | null): Promise<void>;
  /** Remove the vectors with some ids. The vectors after them move forward and keep their order. */
  remove(ids: Ids<Id>): Promise<void>;
  /**
   * Find the k vectors that score highest with each query (n, dim). If there are fewer than k vectors, the remaining
   * scores are -Infinity, and the remaining ids are -1, or null if the ids are strings. A filter is an array with one
   * byte per vector (a mask), or a set, array or typed array of ids. A Uint8Array is always a mask.
   */
  search(
    queries: Floats,
    k: number,
    options?: { filter?: Uint8Array | Set<Id> | Ids<Id> | null },
  ): Promise<{ scores: Floats; ids: NDArray<(Id | null)[]> }>;
  /** Release the memory of the vectors after all earlier operations have ended. */
  close(): Promise<void>;
}

/** The object that `load` returns. It runs one operation at a time. Arrays must not change until it has ended. */
export interface Runtime {
  readonly variant: Variant;
  /** SHA-256 of the module, which identifies the version of the kernels. */
  readonly moduleSha256: string;
  readonly threads: number;
  /** Bytes of linear memory in use by indexes and by running operations. */
  readonly memoryInUse: number;
  readonly FlatIndex: new <Id extends number | string = number | string>(
    dim: number,
    options?: FlatIndexOptions,
  ) => FlatIndex<Id>;
  /**
   * Compute exact attention of q (..., Hq, Lq, D), k (..., Hk, Lk, D) and v (..., Hk, Lk, Dv). Query head h reads key
   * head floor(h / (Hq / Hk)). Arrays of two axes are one head.
   */
  attention(
    q: Floats,
    k: Floats,
    v: Floats,
    options: AttentionOptions & { returnLse: true },
  ): Promise<{ out: Floats; lse: Floats }>;
  attention(q: Floats, k: Floats, v: Floats, options?: AttentionOptions & { returnLse?: false }): Promise<Floats>;
  /** Multiply matrices (..., m, k) and (..., k, n). Leading axes broadcast, and bias (n,) is added to every row. */
  matmul(a: Floats, b: Floats, options?: { bias?: Float32Array | number[] | null }): Promise<Floats>;
  /** Find the k rows of a corpus (N, D) that score highest with each query (n, D). */
  topK(
    queries: Floats,
    corpus: Floats,
    k: number,
    options?: { metric?: Metric },
  ): Promise<{ scores: Floats; indices: NDArray<Int32Array> }>;
  digest: typeof digest;
  /** End the workers and release linear memory after all earlier operations have ended. */
  close(): Promise<void>;
}

/** Load the kernels. */
export function load(options?: LoadOptions): Promise<Runtime>;

/** Return the SHA-256 of the bytes of arrays, one after another, in hexadecimal. */
export function digest(...arrays: (ArrayBufferView | NDArray<ArrayBufferView>)[]): Promise<string>;

/** Base class of every error that flashwasm throws on purpose. */
export class FlashWasmError extends Error {}
/** An argument has a shape or a value that the operation does not accept. */
export class ShapeError extends FlashWasmError {}
/** An argument has a type that the operation does not accept. */
export class DTypeError extends FlashWasmError {}
/** Linear memory is too small for the operation. */
export class OutOfMemoryError extends FlashWasmError {}
/** The browser lacks a required feature; the message names it. */
export class CapabilityError extends FlashWasmError {}
/** The runtime or the index was closed. */
export class ClosedError extends FlashWasmError {}
