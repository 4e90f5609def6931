// Schedules, which divide attention into calls of the kernel, as src/flashwasm/flash_attention/schedule.py does.
// The bits of the result do not depend on the schedule.
import { LIMITS } from "./kernel_table.js";
import { FEWEST_PRODUCTS, MOST_PRODUCTS, ranges } from "./work_limits.js";

const { ATTENTION_KEY_RUN: KEY_RUN, ATTENTION_QUERY_BLOCK: QUERY_BLOCK } = LIMITS;
// Up to this number, queries are computed one at a time, and the kernel reads keys and values in place.
const ROW_QUERIES = 2;
// The maximum and the sum of a partial result, four times each.
const STATE_FLOATS = 8;

/**
 * Return the schedule of a workload.
 *
 * @param {object} work
 *   entries, heads, group, queries, keys: their numbers; width: D + Dv; valueDim: Dv; threads
 * @returns {object}
 *   partialFloats: room that the partial results of a batch entry take;
 *   tasks(length): the tiles { heads, queries, keys, finish } of each task of a batch entry with so many keys;
 *   splits(length): true if `merge`, one more tile, merges the partial results of such an entry after all tasks
 */
export function chooseSchedule(work) {
  return work.queries > 0 && work.queries <= ROW_QUERIES ? byRows(work) : byBlocks(work);
}

function clamped(value, least, most) {
  return Math.min(Math.max(value, least), most);
}

/** A schedule for blocks of queries. Each call of a task continues from the state that the previous call left. */
function byBlocks(work) {
  const { entries, heads, queries, keys, width, threads } = work;
  const row = Math.max(keys * width, 1);
  const wanted = clamped(Math.floor((entries * heads * queries * row) / (4 * threads)), FEWEST_PRODUCTS, MOST_PRODUCTS);
  const block = QUERY_BLOCK * row;
  let steps;
  if (block > 2 * MOST_PRODUCTS) {
    const most = Math.floor(MOST_PRODUCTS / (QUERY_BLOCK * width) / KEY_RUN) * KEY_RUN;
    steps = { heads: 1, queries: QUERY_BLOCK, keys: Math.max(most, KEY_RUN) };
  } else {
    const blocks = Math.max(1, Math.floor(wanted / block));
    if (blocks < Math.ceil(queries / QUERY_BLOCK)) {
      steps = { heads: 1, queries: blocks * QUERY_BLOCK, keys };
    } else {
      const most = Math.floor(wanted / Math.max(queries * row, 1));
      steps = { heads: Math.max(1, most), queries: Math.max(queries, 1), keys };
    }
  }
  return {
    partialFloats: 0,
    splits: () => false,
    *tasks(length) {
      const split = steps.keys < length;
      const keyRanges = split ? [...ranges(length, steps.keys)] : [[0, length]];
      for (const h of ranges(heads, split ? 1 : steps.heads)) {
        for (const i of ranges(queries, split ? Math.min(steps.queries, QUERY_BLOCK) : steps.queries)) {
          yield keyRanges.map((j) => ({ heads: h, queries: i, keys: j, finish: j[1] === length }));
        }
      }
    },
  };
}

/** A schedule for queries that are computed one at a time. If the keys are cut, a last call merges partial results. */
function byRows(work) {
  const { entries, heads, group, queries, keys, width, valueDim, threads } = work;
  const row = Math.max(group * keys * width, 1);
  const keyHeads = Math.max(Math.floor(heads / group), 1);
  const wanted = clamped(
    Math.floor((entries * keyHeads * queries * row) / (2 * threads)),
    FEWEST_PRODUCTS / 4,
    MOST_PRODUCTS / 4,
  );
  let steps;
  if (row * queries < 2 * wanted) {
    steps = { heads: Math.max(1, Math.floor(wanted / (row * queries))) * group, queries, keys: Math.max(keys, 1) };
  } else if (row < 2 * wanted) {
    steps = { heads: group, queries: Math.max(1, Math.floor(wanted / row)), keys: Math.max(keys, 1) };
  } else {
    const runs = Math.max(1, Math.floor(wanted / Math.max(group * width * KEY_RUN, 1)));
    steps = { heads: group, queries, keys: runs * KEY_RUN };
  }
  const splits = (length) => steps.keys < length;
  const runs = splits(keys) ? Math.ceil(keys / KEY_RUN) : 1;
  return {
    partialFloats: heads * queries * runs * (STATE_FLOATS + Math.ceil(valueDim / 4) * 4),
    *tasks(length) {
      const split = splits(length);
      const keyRanges = split ? [...ranges(length, steps.keys)] : [[0, length]];
      for (const h of ranges(heads, steps.heads)) {
        for (const i of ranges(queries, steps.queries)) {
          for (const j of keyRanges) yield [{ heads: h, queries: i, keys: j, finish: !split }];
        }
      }
    },
    splits,
    merge: splits(keys) ? { heads: [0, heads], queries: [0, queries], keys: [0, 0], finish: true } : undefined,
  };
}
