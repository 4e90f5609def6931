// Limits on the work of one task, as in src/flashwasm/runtime/work_limits.py, and how products are cut into tasks.

/** Multiply-adds of one task: the larger limit is a few milliseconds of work. */
export const FEWEST_PRODUCTS = 1 << 20;
export const MOST_PRODUCTS = 1 << 26;
/** Maximum number of elements that one call reads for few queries, where memory is the bottleneck. */
export const MOST_READ = 1 << 24;

// A shorter side of a matrix product counts as this long in estimates of the work.
const SHORTEST_SIDE = 32;
/** Maximum number of multiply-adds for one element of a product in one call. */
export const LONGEST_CHAIN = MOST_PRODUCTS / SHORTEST_SIDE ** 2;

// Rows and columns of the tiles that the product kernel computes.
const TILE_ROWS = 4;
const TILE_COLUMNS = 8;

// Time for one level of a heap, in multiply-adds.
const HEAP_LEVEL = 100;

/** Return the number of calls into which to cut some work; `most` are enough to keep all threads busy. */
export function wantedCalls(products, most) {
  return Math.max(
    Math.min(most, Math.floor(products / FEWEST_PRODUCTS)),
    Math.ceil(products / MOST_PRODUCTS),
    1,
  );
}

/** Return the work for the score of a row, in multiply-adds; a heap keeps the k best of `rows` rows. */
export function scoreProducts(dim, k, rows) {
  const share = Math.min(1, (8 * k) / Math.max(rows, 1));
  return Math.max(dim, 1) + Math.floor(HEAP_LEVEL * Math.log2(Math.max(Math.min(k, rows), 1)) * share);
}

/** Cut an m x n result into pieces [first row, rows, first column, columns] of bounded work. */
export function productTiles(m, n, k, most) {
  const chain = Math.min(k, LONGEST_CHAIN);
  const counted = [m, n, chain].reduce((product, side) => product * Math.max(side, SHORTEST_SIDE), 1);
  const wanted = Math.max(wantedCalls(m * n * Math.max(chain, 1), most), Math.ceil(counted / MOST_PRODUCTS));
  // A call packs its operands first. Halving the longer side keeps that cost small.
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

/** Yield consecutive ranges [begin, end) of at most `step` that cover 0 to `size`. */
export function* ranges(size, step) {
  for (let begin = 0; begin < size; begin += step) yield [begin, Math.min(begin + step, size)];
}
