// ONNX Runtime's WebAssembly build on a sentence encoder. The inputs are ids and mask of each batch, in
// turn; the result is a unit vector for each text, in the order of the batches.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function prepare(modules, { model, inputs }) {
  const from = pathToFileURL(join(modules, "from-here.mjs"));
  const found = await import(import.meta.resolve("onnxruntime-web", from));
  const ort = found.InferenceSession ? found : found.default;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  const tensors = inputs.map(({ data, shape, dtype }) => new ort.Tensor(dtype, data, shape));

  // The result is the mean of a text's tokens, scaled to unit length. The scaling makes the division by
  // the number of tokens unnecessary, so this code computes sums.
  function pooled(hidden, mask, tokens, size) {
    const texts = mask.length / tokens;
    const vectors = new Float32Array(texts * size);
    for (let text = 0; text < texts; text++) {
      const vector = vectors.subarray(text * size, (text + 1) * size);
      for (let token = 0; token < tokens; token++) {
        const at = text * tokens + token;
        if (mask[at]) for (let i = 0; i < size; i++) vector[i] += hidden[at * size + i];
      }
      const length = Math.hypot(...vector);
      for (let i = 0; i < size; i++) vector[i] /= length;
    }
    return vectors;
  }

  async function run() {
    const vectors = [];
    for (let i = 0; i < tensors.length; i += 2) {
      const [ids, mask] = [tensors[i], tensors[i + 1]];
      const [hidden] = Object.values(await session.run({ ids, mask }));
      const [, tokens, size] = hidden.dims;
      vectors.push(pooled(hidden.data, mask.data, tokens, size));
    }
    return vectors;
  }

  function read(vectors) {
    const all = new Float32Array(vectors.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const vector of vectors) {
      all.set(vector, at);
      at += vector.length;
    }
    return all;
  }

  return { run, read, release: () => {} };
}
