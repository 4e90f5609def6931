// A runtime: one linear memory, a crew that runs kernels on it, and the operations.
import { attend } from "./attention.js";
import { checkedAttention } from "./attention_options.js";
import { digest } from "./digest.js";
import { ClosedError } from "./errors.js";
import { BoundFlatIndex } from "./flat_index.js";
import { Launch } from "./launch.js";
import { checkedProduct, multiply } from "./matmul.js";
import { checkedTopK, searchRows } from "./top_k.js";

/** The object that `load` returns. It runs one operation at a time; the others wait for their turn. */
export class Runtime {
  #memory;
  #crew;
  #last = Promise.resolve();
  #closed = false;

  constructor({ memory, crew, variant, moduleSha256 }) {
    this.#memory = memory;
    this.#crew = crew;
    this.variant = variant;
    this.moduleSha256 = moduleSha256;
    this.threads = crew.threads;
    const runtime = this;
    this.FlatIndex = class FlatIndex extends BoundFlatIndex {
      constructor(dim, options) {
        super(runtime, dim, options);
      }
    };
  }

  /** Bytes of linear memory in use by indexes and by running operations, without stacks and workspaces. */
  get memoryInUse() {
    return this.#memory ? this.#memory.inUse - this.#memory.instanceBytes : 0;
  }

  async attention(q, k, v, options) {
    const work = checkedAttention(q, k, v, options);
    const { out, lse } = await this.run((launch) => attend(launch, work));
    return work.returnLse ? { out, lse } : out;
  }

  async matmul(a, b, options) {
    const work = checkedProduct(a, b, options);
    return this.run((launch) => multiply(launch, work));
  }

  async topK(queries, corpus, k, options) {
    const work = checkedTopK(queries, corpus, k, options);
    return this.run((launch) => searchRows(launch, work));
  }

  async digest(...arrays) {
    return digest(...arrays);
  }

  /** Run a function on a launch after all earlier operations have ended. */
  run(body) {
    this.checkOpen();
    const result = this.#last.then(async () => {
      const launch = new Launch(this.#memory, this.#crew);
      try {
        return await body(launch);
      } finally {
        launch.end();
      }
    });
    this.#last = result.catch(() => undefined);
    return result;
  }

  /** Call a function with linear memory after all earlier operations have ended, unless the runtime was closed. */
  afterAll(change) {
    this.#last = this.#last.then(() => {
      if (this.#memory) change(this.#memory);
    });
    return this.#last;
  }

  checkOpen() {
    if (this.#closed) throw new ClosedError("this runtime was closed; call load() for another");
  }

  /** End the workers and release linear memory after all earlier operations have ended. */
  async close() {
    this.#closed = true;
    await this.#last;
    this.#crew?.close();
    this.#crew = this.#memory = undefined;
  }
}
