// Attention on arrays with a head axis.
import { sizeOf } from "./checks.js";
import { MASK_ADDITIVE, MASK_BOOLEAN, MASK_NONE } from "./kernel_table.js";
import { chooseSchedule } from "./schedule.js";

/** Compute attention from the result of `checkedAttention`. Return { out, lse }; lse only with `returnLse`. */
export async function attend(launch, work) {
  const entries = sizeOf(work.lead);
  const { heads, group, queries, keys, dim, valueDim } = work;
  const width = dim + valueDim;
  const schedule = chooseSchedule({ entries, heads, group, queries, keys, width, valueDim, threads: launch.threads });
  const outSize = entries * heads * queries * valueDim;
  const lseSize = entries * heads * queries;
  const placed = (data) => (data ? launch.place(data) : 0);
  const at = {
    q: placed(work.q),
    k: placed(work.k),
    v: placed(work.v),
    mask: placed(work.mask?.data),
    alibi: placed(work.alibi),
    sinks: placed(work.sinks),
    out: launch.room(4 * outSize),
    lse: work.returnLse ? launch.room(4 * lseSize) : 0,
    partials: schedule.partialFloats ? launch.room(4 * schedule.partialFloats * entries) : 0,
  };
  const numbers = Array.from({ length: entries }, (_, entry) => entry);

  function* tasks() {
    for (const entry of numbers) {
      const argumentsOf = entryArguments(work, at, entry, schedule.partialFloats);
      for (const tiles of schedule.tasks(work.lengths[entry])) yield tiles.map(argumentsOf);
    }
  }

  await launch.run("attention_f32", tasks());
  // These calls read partial results, so all tasks must be done first.
  const cut = numbers.filter((entry) => schedule.splits(work.lengths[entry]));
  const merging = cut.map((entry) => [entryArguments(work, at, entry, schedule.partialFloats)(schedule.merge)]);
  await launch.run("attention_f32", merging);
  return {
    out: { data: launch.copy(Float32Array, at.out, outSize), shape: work.outShape },
    lse: at.lse ? { data: launch.copy(Float32Array, at.lse, lseSize), shape: work.outShape.slice(0, -1) } : undefined,
  };
}

/** Return a function that converts a tile of a batch entry to the kernel's arguments, in the order of its structure. */
function entryArguments(work, at, entry, partialFloats) {
  const { heads, keyHeads, group, queries, keys, dim, valueDim, dropout } = work;
  const addresses = [
    at.q + 4 * entry * heads * queries * dim,
    at.k + 4 * entry * keyHeads * keys * dim,
    at.v + 4 * entry * keyHeads * keys * valueDim,
    at.out + 4 * entry * heads * queries * valueDim,
    at.lse && at.lse + 4 * entry * heads * queries,
    at.mask + maskOffset(work, entry),
    at.alibi,
    at.sinks,
    // There are no int8 scales.
    ...[0, 0],
    at.partials && at.partials + 4 * partialFloats * entry,
  ];
  const rest = [
    ...[queries, work.lengths[entry], dim, valueDim],
    // Keys and values are stored as rows of floats.
    ...[0, 0],
    // Elements from one row to the next, then from one head to the next.
    ...[dim, dim, valueDim, valueDim],
    ...[queries * dim, keys * dim, keys * valueDim, queries * valueDim, queries],
    maskKind(work.mask),
    ...(work.mask ? work.mask.strides.slice(-3) : [0, 0, 0]),
    ...[work.diagonals[entry], work.before, work.after],
    // Random numbers depend on the seed, the batch entry, the first head and the first query.
    ...[dropout.low, dropout.high, entry, 0, 0],
    ...[dropout.threshold, dropout.keptScale],
    ...[work.scale, work.softcap],
  ];
  return (tile) => [...addresses, ...tile.heads, group, ...tile.queries, ...tile.keys, Number(tile.finish), ...rest];
}

function maskKind(mask) {
  if (!mask) return MASK_NONE;
  return mask.data instanceof Uint8Array ? MASK_BOOLEAN : MASK_ADDITIVE;
}

/** Return the offset in bytes of a batch entry's part of a mask. */
function maskOffset({ mask, lead }, entry) {
  if (!mask) return 0;
  let elements = 0;
  let left = entry;
  for (let axis = lead.length - 1; axis >= 0; axis--) {
    elements += (left % lead[axis]) * mask.strides[axis];
    left = Math.floor(left / lead[axis]);
  }
  return mask.data.BYTES_PER_ELEMENT * elements;
}
