// The matrix product.
import { checkedOptions, floats, optional, shapeText, sizeOf, vector } from "./checks.js";
import { ShapeError } from "./errors.js";
import { LONGEST_CHAIN, productTiles } from "./work_limits.js";

/** Check operands and options, and return them in the form from which the kernel's arguments are computed. */
export function checkedProduct(a, b, options) {
  floats(a, "a", [2, Infinity]);
  floats(b, "b", [2, Infinity]);
  const { bias } = checkedOptions(options, "options", ["bias"]);
  const [m, k] = a.shape.slice(-2);
  const [rows, n] = b.shape.slice(-2);
  if (rows !== k) {
    throw new ShapeError(`b: expected ${k} rows, the columns of a, got shapes ${shapeText(a.shape)} and ${shapeText(b.shape)}`);
  }
  const leads = [a.shape.slice(0, -2), b.shape.slice(0, -2)];
  return {
    a: a.data,
    b: b.data,
    bias: optional(bias, (x) => vector(x, "bias", n, "columns of b")),
    m,
    n,
    k,
    leads,
    batch: broadcast(...leads),
  };
}

/** Return the shape to which two shapes broadcast, by NumPy's rules. */
function broadcast(one, other) {
  const axes = Math.max(one.length, other.length);
  return Array.from({ length: axes }, (_, i) => {
    const x = one[one.length - axes + i] ?? 1;
    const y = other[other.length - axes + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw new ShapeError(`leading axes: a has ${shapeText(one)}, b has ${shapeText(other)}, which do not broadcast`);
    }
    return x === 1 ? y : x;
  });
}

/** Return the index of an operand's matrix for a batch entry, from the operand's leading axes. */
function matrixAt(entry, batch, lead) {
  let number = 0;
  let stride = 1;
  let left = entry;
  for (let axis = 1; axis <= lead.length; axis++) {
    const size = batch.at(-axis);
    if (lead.at(-axis) > 1) number += (left % size) * stride;
    stride *= lead.at(-axis);
    left = Math.floor(left / size);
  }
  return number;
}

/** Multiply, and return the product. */
export async function multiply(launch, { a, b, bias, m, n, k, leads, batch }) {
  const entries = sizeOf(batch);
  const [x, y] = [launch.place(a), launch.place(b)];
  const add = bias ? launch.place(bias) : 0;
  const out = launch.room(4 * entries * m * n);
  const tiles = productTiles(m, n, k, Math.max(1, Math.floor((2 * launch.threads) / Math.max(1, entries))));
  const step = k > LONGEST_CHAIN ? LONGEST_CHAIN : Math.max(k, 1);

  /** Return the calls of a tile. A long sum continues in the next call, with the sums so far as the bias. */
  function callsOf(entry, [i, rows, j, columns]) {
    const xAt = x + 4 * (matrixAt(entry, batch, leads[0]) * m * k + i * k);
    const yAt = y + 4 * (matrixAt(entry, batch, leads[1]) * k * n + j);
    const at = out + 4 * (entry * m * n + i * n + j);
    const calls = [];
    for (let first = 0; first < Math.max(k, 1); first += step) {
      const added = first ? at : add && add + 4 * j;
      const [from, onto] = [xAt + 4 * first, yAt + 4 * first * n];
      calls.push([from, onto, added, at, rows, columns, Math.min(step, k - first), k, 1, n, 1, n]);
    }
    return calls;
  }

  function* tasks() {
    for (let entry = 0; entry < entries; entry++) {
      for (const tile of tiles) yield callsOf(entry, tile);
    }
  }

  await launch.run("matmul_f32", tasks());
  return { data: launch.copy(Float32Array, out, entries * m * n), shape: [...batch, m, n] };
}
