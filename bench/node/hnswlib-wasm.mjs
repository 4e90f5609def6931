// hnswlib-wasm: hnswlib's graph in WebAssembly. It is meant for browsers and loads only if a window and
// an IndexedDB exist. It uses neither as long as nothing is saved, so empty objects replace them.
// `prepare` gets the vectors once; each request has its own queries. The result is the ids of the
// nearest vectors, as floats.
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const SEED = 100;

async function load(modules) {
  globalThis.window ??= {};
  globalThis.indexedDB ??= { open: () => ({}) };
  const { loadHnswlib } = await import(
    pathToFileURL(join(modules, "hnswlib-wasm", "dist", "hnswlib.js"))
  );
  return loadHnswlib();
}

function rows({ data, shape: [count, dim] }) {
  return Array.from({ length: count }, (_, i) => data.subarray(i * dim, (i + 1) * dim));
}

export async function prepare(modules, { options, inputs: [vectors] }) {
  const { HierarchicalNSW } = await load(modules);
  const [count, dim] = vectors.shape;
  const index = new HierarchicalNSW("ip", dim, "");
  index.initIndex(count, options.m, options.ef_construction, SEED);
  rows(vectors).forEach((vector, id) => index.addPoint(vector, id, false));
  return {
    run: ({ k, ef, inputs: [queries] }) => {
      index.setEfSearch(ef);
      return rows(queries).map((query) => index.searchKnn(query, k, undefined).neighbors);
    },
    read: (results) => Float32Array.from(results.flat()),
    release: () => {},
  };
}
