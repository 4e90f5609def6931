// Checks of the operands and options of attention, and their conversion to a common form.
import { checkedArray, checkedOptions, choice, finite, flag, floats } from "./checks.js";
import { optional, shapeText, shown, sizeOf, vector } from "./checks.js";
import { DTypeError, ShapeError } from "./errors.js";
import { LIMITS } from "./kernel_table.js";

const { ATTENTION_MAX_DIM: MAX_DIM, ATTENTION_OPEN: OPEN } = LIMITS;
const OPTIONS = [
  ...["causal", "scale", "window", "softcap", "mask", "kvLengths", "alibiSlopes", "sinks"],
  ...["dropout", "seed", "returnLse"],
];

/** Check operands and options, and return them in the form from which the kernel's arguments are computed. */
export function checkedAttention(q, k, v, options) {
  const sizes = checkedShapes(q, k, v);
  const { lead, heads, queries, keys, dim } = sizes;
  const given = checkedOptions(options, "options", OPTIONS);
  const { causal = false, window, dropout = 0, returnLse = false } = given;
  const lengths = checkedLengths(given.kvLengths, keys, sizeOf(lead));
  const rule = checkedCausal(causal, queries, keys, lengths);
  const [before, after] = checkedWindow(window);
  const softcap = optional(given.softcap, (x) => finite(x, "softcap")) ?? 0;
  if (softcap < 0) throw new ShapeError(`softcap: expected a positive number, or 0 for none, got ${softcap}`);
  return {
    ...sizes,
    q: q.data,
    k: k.data,
    v: v.data,
    outShape: [...q.shape.slice(0, -1), sizes.valueDim],
    lengths,
    diagonals: rule.offsets,
    before,
    after: rule.causal ? Math.min(after, 0) : after,
    scale: optional(given.scale, (x) => finite(x, "scale")) ?? 1 / Math.sqrt(Math.max(dim, 1)),
    softcap,
    mask: optional(given.mask, (x) => checkedMask(x, [...lead, heads, queries, keys])),
    alibi: optional(given.alibiSlopes, (x) => vector(x, "alibiSlopes", heads, "query heads")),
    sinks: optional(given.sinks, (x) => vector(x, "sinks", heads, "query heads")),
    dropout: checkedDropout(dropout, given.seed),
    returnLse: flag(returnLse, "returnLse"),
  };
}

/** Check that the shapes of the operands agree, and return the sizes. */
function checkedShapes(q, k, v) {
  for (const [name, value] of Object.entries({ q, k, v })) floats(value, name, [2, Infinity]);
  const [lead, heads, queries, dim] = divided(q.shape);
  const [keyLead, keyHeads, keys, keyDim] = divided(k.shape);
  const [valueLead, valueHeads, values, valueDim] = divided(v.shape);
  if (keyDim !== dim) throw mismatch("k", `the head dimension of q, ${dim}`, k);
  if (valueHeads !== keyHeads || values !== keys) {
    throw mismatch("v", `the heads and length of k, ${shapeText([keyHeads, keys])}`, v);
  }
  if (shapeText(keyLead) !== shapeText(lead)) throw mismatch("k", `the leading axes of q, ${shapeText(lead)}`, k);
  if (shapeText(valueLead) !== shapeText(lead)) throw mismatch("v", `the leading axes of q, ${shapeText(lead)}`, v);
  if (heads !== keyHeads && (keyHeads === 0 || heads % keyHeads !== 0)) {
    throw mismatch("q", `a multiple of the ${keyHeads} heads of k`, q);
  }
  if (dim > MAX_DIM) throw mismatch("q", `a head dimension of at most ${MAX_DIM}`, q);
  if (valueDim > MAX_DIM) throw mismatch("v", `a head dimension of at most ${MAX_DIM}`, v);
  const group = Math.max(Math.floor(heads / Math.max(keyHeads, 1)), 1);
  return { lead, heads, keyHeads, group, queries, keys, dim, valueDim };
}

/** Return the leading axes, and the numbers of heads, rows and columns, of a shape of two axes or more. */
function divided(shape) {
  return [shape.slice(0, -3), shape.length > 2 ? shape.at(-3) : 1, shape.at(-2), shape.at(-1)];
}

function mismatch(name, expected, { shape }) {
  return new ShapeError(`${name}: expected ${expected}, got shape ${shapeText(shape)}`);
}

/** Return the number of keys that are not padding, for each batch entry. */
function checkedLengths(kvLengths, keys, entries) {
  if (kvLengths === undefined || kvLengths === null) return Array(entries).fill(keys);
  if (!(Array.isArray(kvLengths) || kvLengths instanceof Int32Array) || kvLengths.length !== entries) {
    throw new ShapeError(`kvLengths: expected ${entries} whole numbers, one for each batch entry, got ${shown(kvLengths)}`);
  }
  for (const length of kvLengths) {
    if (!(Number.isInteger(length) && length >= 0 && length <= keys)) {
      throw new ShapeError(`kvLengths: expected whole numbers from 0 to ${keys}, the number of keys, got ${shown(length)}`);
    }
  }
  return [...kvLengths];
}

/** Return the kernel's arguments for dropout. Without a seed, a random one is drawn. */
function checkedDropout(probability, seed) {
  const p = finite(probability, "dropout");
  if (p < 0 || p >= 1) throw new ShapeError(`dropout: expected a probability from 0 to less than 1, got ${p}`);
  let bits = seed;
  if ((seed === undefined || seed === null) && p === 0) {
    bits = 0n;
  } else if (seed === undefined || seed === null) {
    [bits] = crypto.getRandomValues(new BigUint64Array(1));
  } else if (typeof seed === "number" && Number.isSafeInteger(seed)) {
    bits = BigInt(seed);
  } else if (typeof seed !== "bigint") {
    throw new DTypeError(`seed: expected a whole number or a bigint, got ${shown(seed)}`);
  }
  if (bits < 0n || bits >= 1n << 64n) throw new ShapeError(`seed: expected at least 0 and less than 2 ** 64, got ${seed}`);
  return {
    low: Number(bits & 0xffffffffn),
    high: Number(bits >> 32n),
    threshold: Math.min(roundedHalfToEven(p * 2 ** 32), 2 ** 32 - 1),
    keptScale: 1 / (1 - p),
  };
}

/** Round as Python does: a half is rounded to the even neighbour. */
function roundedHalfToEven(x) {
  const below = Math.floor(x);
  if (x - below !== 0.5) return Math.round(x);
  return below % 2 === 0 ? below : below + 1;
}

/** Return true if there is a causal rule, and the offset of each batch entry's diagonal. */
function checkedCausal(causal, queries, keys, lengths) {
  const all = (offset) => lengths.map(() => offset);
  if (typeof causal === "boolean") {
    if (causal && queries !== keys) {
      throw new ShapeError(
        `causal: true is ambiguous for ${queries} queries and ${keys} keys; expected "top_left", "bottom_right" or a ` +
          "whole number",
      );
    }
    return { causal, offsets: all(0) };
  }
  if (typeof causal === "number") {
    if (!Number.isInteger(causal)) throw new DTypeError(`causal: expected a whole number, got ${causal}`);
    // A greater offset has the same effect, but could overflow when the kernel adds a position.
    const most = OPEN - queries;
    return { causal: true, offsets: all(Math.min(Math.max(causal, -most), most)) };
  }
  choice(causal, "causal", [false, true, "top_left", "bottom_right"]);
  return { causal: true, offsets: lengths.map((length) => (causal === "bottom_right" ? length - queries : 0)) };
}

function checkedWindow(window) {
  if (window === undefined || window === null) return [OPEN, OPEN];
  if (!Array.isArray(window) || window.length !== 2) {
    throw new ShapeError(`window: expected [left, right], got ${shown(window)}`);
  }
  return window.map((side) => {
    if (side === null || side === -1) return OPEN;
    if (!Number.isInteger(side)) throw new DTypeError(`window: expected whole numbers or null, got ${shown(window)}`);
    if (side < 0) throw new ShapeError(`window: expected sides of at least 0, or null for open, got ${shown(window)}`);
    return Math.min(side, OPEN);
  });
}

/** Return a mask with its strides. Each axis has the length of the scores' axis, or length 1 and is broadcast. */
function checkedMask(mask, full) {
  checkedArray(mask, "mask", [Uint8Array, Float32Array]);
  const missing = full.length - mask.shape.length;
  const shape = [...Array(Math.max(missing, 0)).fill(1), ...mask.shape];
  if (missing < 0 || !shape.every((size, axis) => size === 1 || size === full[axis])) {
    throw mismatch("mask", `a shape that broadcasts to ${shapeText(full)}`, mask);
  }
  const strides = shape.map((size, axis) => (size === 1 ? 0 : sizeOf(shape.slice(axis + 1))));
  return { data: mask.data, strides };
}
