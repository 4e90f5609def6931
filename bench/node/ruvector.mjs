// @ruvector/attention, a native addon. FlashAttention(dim, block).compute(query, keys, values) accepts
// one query, and keys and values as arrays of rows.
import { createRequire } from "node:module";
import { join } from "node:path";

const BLOCK = 64;

export async function prepare(modules, { inputs }) {
  const { FlashAttention } = createRequire(join(modules, "from-here.js"))("@ruvector/attention");
  const [heads, length, dim] = inputs[0].shape;
  const attention = new FlashAttention(dim, BLOCK);
  const [q, k, v] = inputs.map(({ data }) =>
    Array.from({ length: heads }, (_, h) =>
      Array.from({ length }, (_, i) => data.slice((h * length + i) * dim, (h * length + i + 1) * dim)),
    ),
  );
  return {
    run: () => q.map((queries, h) => queries.map((query) => attention.compute(query, k[h], v[h]))),
    read: (results) => {
      const whole = new Float32Array(heads * length * dim);
      results.flat().forEach((row, i) => whole.set(row, i * dim));
      return whole;
    },
    release: () => {},
  };
}
