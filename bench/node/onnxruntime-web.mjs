// ONNX Runtime's WebAssembly build on a model of one case. Each call copies the inputs into its memory
// and the output out of it, because the build has no other way on the CPU.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

export async function prepare(modules, { model, inputs }) {
  // Resolve the package as an import in the folder of the packages would, because its "exports" name
  // the build for Node.
  const from = pathToFileURL(join(modules, "from-here.mjs"));
  const found = await import(import.meta.resolve("onnxruntime-web", from));
  const ort = found.InferenceSession ? found : found.default;
  ort.env.wasm.numThreads = 1;
  const session = await ort.InferenceSession.create(new Uint8Array(readFileSync(model)), {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "all",
  });
  const feeds = Object.fromEntries(
    inputs.map(({ data, shape, dtype }, i) => [`x${i}`, new ort.Tensor(dtype, data, shape)]),
  );
  return {
    run: () => session.run(feeds),
    read: (results) => results.y.data,
    release: () => {},
  };
}
