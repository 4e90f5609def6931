// Limits on the work of one task, as in src/flashwasm/runtime/work_limits.py, and how products are cut into tasks.

/** Multiply-adds of one task: the larger limit is a few milliseconds of work. */
export const FEWEST_PRODUCTS = 1 << 20;
export const MOST_PRODUCTS = 1 << 26;
/** Elements of vectors that one call reads for few queries: memory is slower than arithmetic. */
export const MOST_READ = 1 << 24;

// A side of a matrix product that is shorter than this counts as this long.
const SHORTEST_SIDE = 32;
/** Multiply-adds of one element of a product that one call makes. */
export const LONGEST_CHAIN = MOST_PRODUCTS / SHORTEST_SIDE ** 2;

// Rows and columns of the tiles that the kernel of products computes.
const TILE_ROWS = 4;
const TILE_COLUMNS = 8;

// Time that a row takes in one level of a heap, in multiply-adds.
const HEAP_LEVEL = 100;

/** Return the number of calls to cut multiply-adds into; `most` are enough to keep all threads busy. */
export function wantedCalls(products, most) {
  return Math.max(
    Math.min(most, Math.floor(products / FEWEST_PRODUCTS)),
    Math.ceil(products / MOST_PRODUCTS),
    1,
  );
}

/** Return the multiply-adds that the score of a row counts as; the k best of `rows` rows are kept in a heap. */
export function scoreProducts(dim, k, rows) {
  const share = Math.min(1, (8 * k) / Math.max(rows, 1));
  return Math.max(dim, 1) + Math.floor(HEAP_LEVEL * Math.log2(Math.max(Math.min(k, rows), 1)) * share);
}

/** Cut an m x n result into pieces [first row, rows, first column, columns] of bounded work. */
export function productTiles(m, n, k, most) {
  const chain = Math.min(k, LONGEST_CHAIN);
  const counted = [m, n, chain].reduce((product, side) => product * Math.max(side, SHORTEST_SIDE), 1);
  const wanted = Math.max(wantedCalls(m * n * Math.max(chain, 1), most), Math.ceil(counted / MOST_PRODUCTS));
  // A call packs its operands first. The longer side is halved, which keeps that cost small.
  let down = 1;
  let across = 1;
  while (down * across < wanted) {
    if (m / down >= n / across && m / down > TILE_ROWS) down *= 2;
    else if (n / across > TILE_COLUMNS) across *= 2;
    else break;
  }
  const rowStep = Math.ceil(m / (down * TILE_ROWS)) * TILE_ROWS || 1;
  const columnStep = Math.ceil(n / (across * TILE_COLUMNS)) * TILE_COLUMNS || 1;
  return [...ranges(m, rowStep)].flatMap(([i, rowEnd]) =>
    [...ranges(n, columnStep)].map(([j, columnEnd]) => [i, rowEnd - i, j, columnEnd - j]),
  );
}

/** Yield the ranges [begin, end) of at most `step` that make up 0 to `size`. */
export function* ranges(size, step) {
  for (let begin = 0; begin < size; begin += step) yield [begin, Math.min(begin + step, size)];
}
