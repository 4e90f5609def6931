// The cases of golden.json, computed here. tests/helpers/golden_cases.py computes the same cases in Python.

/** Return numbers in [-2, 2) that every language computes exactly. */
function numbers(count, seed) {
  return Float32Array.from({ length: count }, (_, i) => {
    const n = (i + seed * 2 ** 20) >>> 0;
    const mixed = Math.imul(n ^ (n >>> 7), 2654435761) >>> 0;
    return (mixed >>> 8) * 2 ** -22 - 2;
  });
}

function isArray(value) {
  return value !== null && typeof value === "object" && "seed" in value;
}

/** Return the array that a case describes; of a boolean one, the numbers below 1 are true. */
function arrayOf({ shape, seed, boolean }) {
  const data = numbers(shape.reduce((product, size) => product * size, 1), seed);
  return { data: boolean ? Uint8Array.from(data, (x) => x < 1) : data, shape };
}

/** Return the arrays of a case, by name, and its options. */
export function operandsOf({ arrays, options }) {
  const made = Object.fromEntries(Object.entries(arrays).map(([name, array]) => [name, arrayOf(array)]));
  const filled = Object.entries(options).map(([name, value]) => {
    if (!isArray(value)) return [name, value];
    return [name, name === "mask" ? arrayOf(value) : arrayOf(value).data];
  });
  return { ...made, options: Object.fromEntries(filled) };
}

const RUN = {
  async attention(fw, { q, k, v, options }) {
    const { out, lse } = await fw.attention(q, k, v, { ...options, returnLse: true });
    return [out, lse];
  },
  async matmul(fw, { a, b, options }) {
    return [await fw.matmul(a, b, options)];
  },
  async topK(fw, { queries, corpus, options: { k, ...options } }) {
    const { scores, indices } = await fw.topK(queries, corpus, k, options);
    return [scores, indices];
  },
  async FlatIndex(fw, { queries, vectors, options: { k, ...options } }) {
    const index = new fw.FlatIndex(vectors.shape[1], options);
    try {
      await index.add(vectors);
      const { scores, ids } = await index.search(queries, k);
      return [scores, Int32Array.from(ids.data)];
    } finally {
      await index.close();
    }
  },
};

/** Compute a case, and return the SHA-256 of its results. */
export async function digestOf(fw, one) {
  return fw.digest(...(await RUN[one.operation](fw, operandsOf(one))));
}
