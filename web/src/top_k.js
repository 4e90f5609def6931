// Exact search for the nearest rows of a matrix.
import { checkedOptions, choice, floats, shapeText, wholeNumber } from "./checks.js";
import { ShapeError } from "./errors.js";
import { LIMITS, METRICS } from "./kernel_table.js";
import { MOST_PRODUCTS, MOST_READ, ranges, scoreProducts, wantedCalls } from "./work_limits.js";

// A call packs its rows of the corpus once for all its queries.
const QUERIES = 256;
// Largest heap of one call. For a greater k, each piece of the corpus is sorted completely.
const LONGEST_HEAP = 1 << 12;

/** Check operands and options, and return them in the form from which the kernel's arguments are computed. */
export function checkedTopK(queries, corpus, k, options) {
  floats(queries, "queries", [2, 2]);
  floats(corpus, "corpus", [2, 2]);
  const count = wholeNumber(k, "k", 1);
  const { metric = "cosine" } = checkedOptions(options, "options", ["metric"]);
  choice(metric, "metric", Object.keys(METRICS));
  const [rows, dim] = corpus.shape;
  if (queries.shape[1] !== dim) {
    throw new ShapeError(`queries: expected ${dim} columns, as corpus has, got shape ${shapeText(queries.shape)}`);
  }
  if (dim > LIMITS.TOP_K_MAX_DIM) {
    throw new ShapeError(`corpus: expected at most ${LIMITS.TOP_K_MAX_DIM} columns, got shape ${shapeText(corpus.shape)}`);
  }
  if (count > rows) throw new ShapeError(`k: expected at most the ${rows} rows of corpus, got ${k}`);
  return { queries: queries.data, corpus: corpus.data, n: queries.shape[0], rows, dim, k: count, metric: METRICS[metric] };
}

/** Search pieces of the corpus, then merge the best of each piece; return { scores, indices }. */
export async function searchRows(launch, { queries, corpus, n, rows, dim, k, metric }) {
  const [q, c] = [launch.place(queries), launch.place(corpus)];
  const { queryStep, rowStep } = stepsOf(n, rows, Math.max(dim, 1), k, launch.threads);
  const pieces = [...ranges(rows, rowStep)].map(([begin, end]) => {
    const size = end - begin;
    const each = Math.min(k, size);
    return { begin, size, each, scores: launch.room(4 * n * each), indices: launch.room(4 * n * each) };
  });

  function* tasks() {
    for (const { begin, size, each, scores, indices } of pieces) {
      for (const [i, end] of ranges(n, queryStep)) {
        const [at, place] = [q + 4 * i * dim, 4 * i * each];
        yield [[at, c + 4 * begin * dim, scores + place, indices + place, end - i, size, dim, each, begin, metric, 0]];
      }
    }
  }

  await launch.run("cosine_top_k_f32", tasks());
  const found = pieces.map(({ each, scores, indices }) => ({
    each,
    scores: launch.copy(Float32Array, scores, n * each),
    indices: launch.copy(Int32Array, indices, n * each),
  }));
  const best = found.length === 1 ? found[0] : merged(found, n, k);
  // A zero is never -0.
  best.scores.forEach((x, i) => {
    if (x === 0) best.scores[i] = 0;
  });
  return { scores: { data: best.scores, shape: [n, k] }, indices: { data: best.indices, shape: [n, k] } };
}

/** Return the numbers of queries and of rows of one call, as `_steps` of src/flashwasm/ops/top_k.py does if each call is a task. */
function stepsOf(queries, rows, dim, k, threads) {
  let mostRows = Math.max(Math.floor(MOST_READ / dim), 1);
  const fewestRows = Math.min(4 * Math.min(k, LONGEST_HEAP), rows, mostRows);
  const pair = scoreProducts(dim, Math.min(k, fewestRows), 8 * k > rows ? fewestRows : rows);
  const calls = wantedCalls(queries * rows * pair, threads);
  const mostQueries = Math.max(Math.floor(MOST_PRODUCTS / Math.max(fewestRows * pair, 1)), 1);
  const queryStep = Math.max(Math.min(Math.ceil(queries / calls), QUERIES, queries, mostQueries), 1);
  const pieces = queries ? Math.ceil(calls / Math.ceil(queries / queryStep)) : 1;
  mostRows = Math.min(mostRows, Math.floor(MOST_PRODUCTS / (queryStep * pair)));
  return { queryStep, rowStep: Math.max(Math.min(Math.ceil(rows / pieces), mostRows), fewestRows, 1) };
}

/** Return the k best results of each query: by score, then by number. NaN ranks below every number. */
function merged(found, n, k) {
  const scores = new Float32Array(n * k);
  const indices = new Int32Array(n * k);
  for (let query = 0; query < n; query++) {
    const all = found.flatMap((piece) =>
      Array.from({ length: piece.each }, (_, i) => {
        const at = query * piece.each + i;
        return [piece.scores[at], piece.indices[at]];
      }),
    );
    all.sort(([x, i], [y, j]) => {
      if (Number.isNaN(x) || Number.isNaN(y)) return Number(Number.isNaN(x)) - Number(Number.isNaN(y)) || i - j;
      return y > x ? 1 : y < x ? -1 : i - j;
    });
    for (let i = 0; i < k; i++) [scores[query * k + i], indices[query * k + i]] = all[i];
  }
  return { scores, indices };
}
