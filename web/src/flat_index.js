// The flat index, whose search compares every query with every vector.
import { checkedOptions, checkMagnitudes, choice, floats } from "./checks.js";
import { optional, shapeText, shown, wholeNumber } from "./checks.js";
import { ClosedError, DTypeError, ShapeError } from "./errors.js";
import { LIMITS, METRICS } from "./kernel_table.js";
import { FEWEST_PRODUCTS, MOST_PRODUCTS, MOST_READ, ranges, scoreProducts } from "./work_limits.js";

// Number of vectors in a panel. A panel contains the first components of eight vectors, then their second components...
const PANEL = 8;
const FEWEST_PANELS = 8;
// Maximum count of numbers that one call stores.
const MOST_STORED = 1 << 19;
// Maximum number of queries in one call, and in one pass, which keeps k results for each.
const QUERIES = 256;
const QUERIES_TOGETHER = 4096;
// Ranges of rows begin at multiples of this.
const ROWS = 64;
// The two halves of the key that means "no result". It is greater than the key of any vector.
const NO_POSITION = 0xffffffff;
const NO_DISTANCE = 0xff800000;
// With components of this magnitude or more, a distance in 16,384 dimensions could overflow.
const LARGEST = { cosine: Infinity, dot: 2 ** 55, l2: 2 ** 55 };

/** Exact vector index. `Runtime` binds the first parameter. */
export class BoundFlatIndex {
  #runtime;
  #panels = 0;
  #room = 0;
  #ids = [];
  #positions = new Map();
  #next = 0;
  #closed = false;

  constructor(runtime, dim, options) {
    const { metric = "cosine" } = checkedOptions(options, "options", ["metric"]);
    this.dim = wholeNumber(dim, "dim", 1);
    if (dim > LIMITS.INDEX_MAX_DIM) throw new ShapeError(`dim: expected at most ${LIMITS.INDEX_MAX_DIM}, got ${dim}`);
    this.metric = choice(metric, "metric", Object.keys(METRICS));
    this.#runtime = runtime;
    runtime.checkOpen();
  }

  /** Number of vectors. */
  get size() {
    return this.#ids.length;
  }

  /** Ids of all vectors, in the order in which they were added. */
  get ids() {
    return [...this.#ids];
  }

  /** Number of bytes that the vectors occupy in linear memory, including room for more. */
  get nbytes() {
    return 4 * this.#room * PANEL * this.dim;
  }

  /** Add vectors (n, dim) with the given ids, or with the next whole numbers as ids. */
  async add(vectors, ids) {
    const rows = this.#checked(vectors, "vectors");
    await this.#run(async (launch) => {
      const first = this.size;
      const names = this.#newIds(ids, rows.shape[0]);
      this.#reserve(launch.memory, first + names.length);
      await this.#put(launch, rows.data, first, METRICS[this.metric]);
      this.#name(names, first);
    });
  }

  /** Remove the vectors with some ids. The vectors after them move forward and keep their order. */
  async remove(ids) {
    await this.#run(async (launch) => {
      const gone = new Set();
      for (const id of checkedIds(ids)) {
        if (!this.#positions.has(id)) throw new ShapeError(`ids: ${shown(id)} is not in the index`);
        if (gone.has(id)) throw new ShapeError(`ids: ${shown(id)} is given twice`);
        gone.add(id);
      }
      if (!gone.size) return;
      const kept = this.#ids.filter((id) => !gone.has(id));
      const first = this.#ids.findIndex((id) => gone.has(id));
      const moved = kept.slice(first).map((id) => this.#positions.get(id));
      const vectors = this.#take(launch, moved);
      // The metric "dot" writes vectors unchanged, as stored vectors require.
      await this.#put(launch, vectors, first, METRICS.dot);
      this.#ids.length = first;
      for (const id of gone) this.#positions.delete(id);
      this.#name(kept.slice(first), first);
    });
  }

  /** Find the k vectors that score highest with each query (n, dim). */
  async search(queries, k, options) {
    const rows = this.#checked(queries, "queries");
    const count = wholeNumber(k, "k", 1);
    const { filter } = checkedOptions(options, "options", ["filter"]);
    return this.#run(async (launch) => {
      const mask = optional(filter, (wanted) => this.#mask(wanted));
      const n = rows.shape[0];
      const scores = new Float32Array(n * count).fill(-Infinity);
      const ids = Array(n * count).fill(typeof this.#ids[0] === "string" ? null : -1);
      const each = Math.min(count, this.size);
      const maskAt = mask ? launch.place(mask) : 0;
      for (const [begin, end] of ranges(each ? n : 0, QUERIES_TOGETHER)) {
        const some = rows.data.subarray(begin * this.dim, end * this.dim);
        const keys = await this.#nearest(launch, some, end - begin, each, maskAt);
        keys.forEach((row, query) =>
          row.forEach(([distance, position], i) => {
            if (position === NO_POSITION) return;
            const at = (begin + query) * count + i;
            // 0 - x is +0 for either zero x, but -x could be -0.
            scores[at] = 0 - distanceOf(distance);
            ids[at] = this.#ids[position];
          }),
        );
      }
      return { scores: { data: scores, shape: [n, count] }, ids: { data: ids, shape: [n, count] } };
    });
  }

  /** Release the memory of the vectors after all earlier operations have ended. */
  async close() {
    if (this.#closed) return;
    this.#closed = true;
    await this.#runtime.afterAll((memory) => {
      if (this.#panels) memory.release(this.#panels);
      this.#panels = this.#room = 0;
      this.#ids = [];
      this.#positions.clear();
    });
  }

  #run(body) {
    if (this.#closed) throw new ClosedError("this index was closed");
    return this.#runtime.run(body);
  }

  #checked(x, name) {
    floats(x, name, [2, 2]);
    if (x.shape[1] !== this.dim) {
      throw new ShapeError(`${name}: expected ${this.dim} columns, the index's dim, got shape ${shapeText(x.shape)}`);
    }
    checkMagnitudes(x, name, LARGEST[this.metric]);
    return x;
  }

  #newIds(ids, count) {
    if (ids === undefined || ids === null) {
      if (typeof this.#ids[0] === "string") {
        throw new ShapeError("ids: the ids of this index are strings, so new vectors need ids too");
      }
      return Array.from({ length: count }, (_, i) => this.#next + i);
    }
    const names = checkedIds(ids);
    if (names.length !== count) throw new ShapeError(`ids: expected ${count}, one for each vector, got ${names.length}`);
    const kind = typeof (this.#ids[0] ?? names[0]);
    const seen = new Set();
    for (const id of names) {
      if (typeof id !== kind) throw new DTypeError(`ids: expected a ${kind}, as the ids before it, got ${shown(id)}`);
      if (seen.has(id)) throw new ShapeError(`ids: ${shown(id)} is given twice`);
      if (this.#positions.has(id)) throw new ShapeError(`ids: ${shown(id)} is in the index already`);
      seen.add(id);
    }
    return names;
  }

  #name(ids, first) {
    ids.forEach((id, i) => {
      this.#ids[first + i] = id;
      this.#positions.set(id, first + i);
      if (typeof id === "number") this.#next = Math.max(this.#next, id + 1);
    });
  }

  /** Make room for some vectors; the room grows by at least half. */
  #reserve(memory, count) {
    const needed = Math.ceil(count / PANEL);
    if (needed <= this.#room) return;
    const room = Math.max(needed, this.#room + (this.#room >> 1), FEWEST_PANELS);
    const floatsOf = (panels) => panels * PANEL * this.dim;
    const larger = memory.allocate(4 * floatsOf(room));
    const content = memory.view(Float32Array, larger, floatsOf(room)).fill(0);
    if (this.#panels) {
      content.set(memory.view(Float32Array, this.#panels, floatsOf(this.#room)));
      memory.release(this.#panels);
    }
    this.#panels = larger;
    this.#room = room;
  }

  /** Write vectors to the positions from `first` on. */
  async #put(launch, data, first, metric) {
    const count = data.length / this.dim;
    const step = Math.max(1, Math.min(Math.floor(MOST_STORED / this.dim), count));
    const at = launch.room(4 * step * this.dim);
    for (const [begin, end] of ranges(count, step)) {
      const some = data.subarray(begin * this.dim, end * this.dim);
      launch.memory.view(Float32Array, at, some.length).set(some);
      const code = METRICS[this.metric];
      const call = [at, 0, this.#panels, 0, 0, 0, 0, 0, first + begin, end - begin, this.dim, metric, code];
      await launch.run("index_store_f32", [[call]]);
    }
  }

  /** Return a copy of the stored vectors at some positions. */
  #take(launch, positions) {
    const { dim } = this;
    const panels = launch.memory.view(Float32Array, this.#panels, this.#room * PANEL * dim);
    const rows = new Float32Array(positions.length * dim);
    positions.forEach((position, i) => {
      const lane = Math.floor(position / PANEL) * PANEL * dim + (position % PANEL);
      for (let j = 0; j < dim; j++) rows[i * dim + j] = panels[lane + PANEL * j];
    });
    return rows;
  }

  /** Return a filter, which is a mask or ids, as one byte per position. */
  #mask(filter) {
    if (filter instanceof Uint8Array) {
      if (filter.length !== this.size) {
        throw new ShapeError(`filter: expected ${this.size} bytes, one for each vector, got ${filter.length}`);
      }
      return filter;
    }
    const mask = new Uint8Array(this.size);
    for (const id of filterIds(filter)) if (this.#positions.has(id)) mask[this.#positions.get(id)] = 1;
    return mask;
  }

  /** Return the keys [distance, position] of the k nearest vectors to each query, in order. */
  async #nearest(launch, queries, n, k, mask) {
    const { dim } = this;
    const rows = this.size;
    const block = Math.min(QUERIES, Math.max(n, 1), Math.max(Math.floor(MOST_PRODUCTS / (ROWS * dim)), 1));
    const pieces = Math.max(1, Math.min(launch.threads, Math.floor((block * rows * dim) / FEWEST_PRODUCTS)));
    const piece = Math.ceil(rows / (pieces * ROWS)) * ROWS;
    const parts = [...ranges(rows, piece)];
    const step = rowsOfACall(block, dim, k);
    const at = launch.place(queries);
    const heaps = launch.room(8 * parts.length * n * k);
    const words = launch.memory.view(Uint32Array, heaps, 2 * parts.length * n * k);
    for (let i = 0; i < words.length; i += 2) [words[i], words[i + 1]] = [NO_POSITION, NO_DISTANCE];

    const callsOf = (number, [begin, end], [first, last]) =>
      [...ranges(end - begin, step)].map(([from, to]) => [
        at + 4 * first * dim,
        this.#panels,
        ...[0, 0, 0, mask, 0],
        heaps + 8 * k * (number * n + first),
        last - first,
        begin + from,
        begin + to,
        dim,
        k,
        METRICS[this.metric],
      ]);

    const tasks = parts.flatMap((part, number) => [...ranges(n, block)].map((some) => callsOf(number, part, some)));
    await launch.run("flat_search_f32", tasks);
    const found = launch.copy(Uint32Array, heaps, 2 * parts.length * n * k);
    return Array.from({ length: n }, (_, query) => {
      const keys = parts.flatMap((_part, number) =>
        Array.from({ length: k }, (_key, i) => {
          const word = 2 * ((number * n + query) * k + i);
          return [found[word + 1], found[word]];
        }),
      );
      return keys.sort(([d, p], [e, r]) => d - e || p - r).slice(0, k);
    });
  }
}

/** Return ids, from an array or a typed array, as an array of whole numbers or of strings. */
function checkedIds(given, name = "ids") {
  const valid = (id) => typeof id === "string" || Number.isSafeInteger(id);
  if (!Array.isArray(given) && !(ArrayBuffer.isView(given) && "length" in given)) {
    throw new DTypeError(`${name}: expected an array of whole numbers or of strings, got ${shown(given)}`);
  }
  const ids = Array.from(given);
  const wrong = ids.find((id) => !valid(id));
  if (wrong !== undefined || ids.includes(undefined)) {
    throw new DTypeError(`${name}: expected whole numbers or strings, got ${shown(wrong)}`);
  }
  return ids;
}

/** Return the ids of a filter. An array with an id twice is refused, because it is probably a mask. */
function filterIds(filter) {
  if (filter instanceof Set) return filter;
  const ids = new Set(checkedIds(filter, "filter"));
  if (ids.size < filter.length) {
    throw new ShapeError(`filter: expected a mask in a Uint8Array, or ids that each occur once, got ${shown(filter)}`);
  }
  return ids;
}

/** Return the number of rows in one call. */
function rowsOfACall(queries, dim, k) {
  let most = Math.min(Math.floor(MOST_PRODUCTS / (queries * dim)), Math.floor(MOST_READ / dim));
  for (let i = 0; i < 2; i++) {
    most = Math.min(most, Math.floor(MOST_PRODUCTS / (queries * scoreProducts(dim, k, most))));
  }
  return Math.max(Math.floor(most / ROWS), 1) * ROWS;
}

const word = new DataView(new ArrayBuffer(4));

/** Return the distance in the upper half of a key. */
function distanceOf(bits) {
  word.setUint32(0, bits & 0x80000000 ? bits ^ 0x80000000 : ~bits);
  return word.getFloat32(0);
}
