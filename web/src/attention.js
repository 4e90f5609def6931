// Attention on arrays with a head axis.
import { checkedArray, checkedOptions, choice, finite, flag, floats, shapeText, shown, sizeOf, vector } from "./checks.js";
import { DTypeError, ShapeError } from "./errors.js";
import { LIMITS, MASK_ADDITIVE, MASK_BOOLEAN, MASK_NONE } from "./kernel_table.js";
import { chooseSchedule } from "./schedule.js";

const { ATTENTION_MAX_DIM: MAX_DIM, ATTENTION_OPEN: OPEN } = LIMITS;
const OPTIONS = ["causal", "scale", "window", "softcap", "mask", "alibiSlopes", "sinks", "returnLse"];

/** Check operands and options, and return what the kernel's arguments are made from. */
export function checkedAttention(q, k, v, options) {
  for (const [name, value] of Object.entries({ q, k, v })) floats(value, name, [2, Infinity]);
  const { causal = false, scale, window, softcap, mask, alibiSlopes, sinks, returnLse = false } = checkedOptions(
    options,
    "options",
    OPTIONS,
  );
  flag(returnLse, "returnLse");
  const [lead, heads, queries, dim] = divided(q.shape);
  const [keyLead, keyHeads, keys, keyDim] = divided(k.shape);
  const [valueLead, valueHeads, values, valueDim] = divided(v.shape);
  if (keyDim !== dim) throw mismatch("k", `head dimension ${dim}, that of q`, k);
  if (valueHeads !== keyHeads || values !== keys) {
    throw mismatch("v", `heads and length ${shapeText([keyHeads, keys])}, those of k`, v);
  }
  if (shapeText(keyLead) !== shapeText(lead)) throw mismatch("k", `leading axes ${shapeText(lead)}, those of q`, k);
  if (shapeText(valueLead) !== shapeText(lead)) throw mismatch("v", `leading axes ${shapeText(lead)}, those of q`, v);
  if (heads !== keyHeads && (keyHeads === 0 || heads % keyHeads !== 0)) {
    throw mismatch("q", `a multiple of the ${keyHeads} heads of k`, q);
  }
  for (const [name, x, size] of [["q", q, dim], ["v", v, valueDim]]) {
    if (size > MAX_DIM) throw mismatch(name, `a head dimension of at most ${MAX_DIM}`, x);
  }
  const rule = checkedCausal(causal, queries, keys);
  const [before, after] = checkedWindow(window);
  const cap = softcap === undefined || softcap === null ? 0 : finite(softcap, "softcap");
  if (cap < 0) throw new ShapeError(`softcap: expected a positive number, or 0 for none, got ${softcap}`);
  return {
    q: q.data,
    k: k.data,
    v: v.data,
    lead,
    heads,
    group: Math.max(Math.floor(heads / Math.max(keyHeads, 1)), 1),
    keyHeads,
    queries,
    keys,
    dim,
    valueDim,
    outShape: [...q.shape.slice(0, -1), valueDim],
    diagonal: rule.offset,
    before,
    after: rule.causal ? Math.min(after, 0) : after,
    scale: scale === undefined || scale === null ? 1 / Math.sqrt(Math.max(dim, 1)) : finite(scale, "scale"),
    softcap: cap,
    mask: mask === undefined || mask === null ? undefined : checkedMask(mask, [...lead, heads, queries, keys]),
    alibi: alibiSlopes ? vector(alibiSlopes, "alibiSlopes", heads, "query heads") : undefined,
    sinks: sinks ? vector(sinks, "sinks", heads, "query heads") : undefined,
    returnLse,
  };
}

/** Return the leading axes, and the numbers of heads, rows and columns, of a shape of two axes or more. */
function divided(shape) {
  return [shape.slice(0, -3), shape.length > 2 ? shape.at(-3) : 1, shape.at(-2), shape.at(-1)];
}

function mismatch(name, expected, { shape }) {
  return new ShapeError(`${name}: expected ${expected}, got shape ${shapeText(shape)}`);
}

function checkedCausal(causal, queries, keys) {
  if (typeof causal === "boolean") {
    if (causal && queries !== keys) {
      throw new ShapeError(
        `causal: true is ambiguous for ${queries} queries and ${keys} keys; expected "top_left", "bottom_right" or a ` +
          "whole number",
      );
    }
    return { causal, offset: 0 };
  }
  if (typeof causal === "number") {
    if (!Number.isInteger(causal)) throw new DTypeError(`causal: expected a whole number, got ${causal}`);
    // Beyond this, an offset means the same and could overflow when a position is added.
    const most = OPEN - queries;
    return { causal: true, offset: Math.min(Math.max(causal, -most), most) };
  }
  choice(causal, "causal", [false, true, "top_left", "bottom_right"]);
  return { causal: true, offset: causal === "bottom_right" ? keys - queries : 0 };
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

/** Return a mask with its strides: each of its axes has the length of the scores' axis, or 1 and then repeats. */
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

/** Compute attention, and return { out, lse }; lse is undefined unless it was asked for. */
export async function attend(launch, work) {
  const { heads, keyHeads, group, queries, keys, dim, valueDim, lead } = work;
  const [q, k, v] = [work.q, work.k, work.v].map((data) => launch.place(data));
  const mask = work.mask ? launch.place(work.mask.data) : 0;
  const alibi = work.alibi ? launch.place(work.alibi) : 0;
  const sinks = work.sinks ? launch.place(work.sinks) : 0;
  const entries = sizeOf(lead);
  const outSize = entries * heads * queries * valueDim;
  const lseSize = entries * heads * queries;
  const out = launch.room(4 * outSize);
  const lse = work.returnLse ? launch.room(4 * lseSize) : 0;
  const schedule = chooseSchedule({
    entries,
    heads,
    group,
    queries,
    keys,
    width: dim + valueDim,
    valueDim,
    threads: launch.threads,
  });
  const partials = schedule.partialFloats ? launch.room(4 * schedule.partialFloats * entries) : 0;
  const sizes = [queries, keys, dim, valueDim, 0, 0];
  const rowStrides = [dim, dim, valueDim, valueDim];
  const headStrides = [queries * dim, keys * dim, keys * valueDim, queries * valueDim, queries];
  const maskItem = work.mask?.data.BYTES_PER_ELEMENT;
  const maskKind = work.mask ? (maskItem === 1 ? MASK_BOOLEAN : MASK_ADDITIVE) : MASK_NONE;
  const maskStrides = work.mask ? work.mask.strides.slice(-3) : [0, 0, 0];

  function maskAt(entry) {
    if (!work.mask) return 0;
    let offset = 0;
    let left = entry;
    for (let axis = lead.length - 1; axis >= 0; axis--) {
      offset += (left % lead[axis]) * work.mask.strides[axis];
      left = Math.floor(left / lead[axis]);
    }
    return mask + maskItem * offset;
  }

  /** Return the kernel's arguments for a tile of a batch entry. */
  function argumentsOf(entry, tile) {
    return [
      q + 4 * entry * heads * queries * dim,
      k + 4 * entry * keyHeads * keys * dim,
      v + 4 * entry * keyHeads * keys * valueDim,
      out + 4 * entry * heads * queries * valueDim,
      lse ? lse + 4 * entry * heads * queries : 0,
      maskAt(entry),
      alibi,
      sinks,
      ...[0, 0],
      partials ? partials + 4 * schedule.partialFloats * entry : 0,
      ...tile.heads,
      group,
      ...tile.queries,
      ...tile.keys,
      tile.finish ? 1 : 0,
      ...sizes,
      ...rowStrides,
      ...headStrides,
      maskKind,
      ...maskStrides,
      ...[work.diagonal, work.before, work.after],
      // No dropout: seed, batch entry, first head, first query, threshold, scale of what is kept.
      ...[0, 0, entry, 0, 0, 0, 1],
      work.scale,
      work.softcap,
    ];
  }

  function* tasks() {
    for (let entry = 0; entry < entries; entry++) {
      for (const tiles of schedule.tasks()) yield tiles.map((tile) => argumentsOf(entry, tile));
    }
  }

  function* merging() {
    for (let entry = 0; entry < entries; entry++) yield [argumentsOf(entry, schedule.merge)];
  }

  await launch.run("attention_f32", tasks());
  if (schedule.merge) await launch.run("attention_f32", merging());
  return {
    out: { data: launch.copy(Float32Array, out, outSize), shape: work.outShape },
    lse: lse ? { data: launch.copy(Float32Array, lse, lseSize), shape: work.outShape.slice(0, -1) } : undefined,
  };
}
