// Runs one case of one peer and answers requests, a line of JSON each, on stdin and stdout:
//
//   node --no-liftoff --experimental-import-meta-resolve serve.mjs PEER NODE_MODULES
//
//   {"do": "prepare", "operation", "options", "inputs": [{"file", "shape", "dtype"}], "model"?}
//   {"do": "result", "file", "inputs"?}   computes once and writes the result, raw float32; {"seconds"}
//   {"do": "time", "loops"}    computes so often; {"seconds"} by this process's clock
//
// An answer has "error" where something failed. A peer's script exports prepare(modules, request),
// which returns { run, read, release }: run computes, at once or as a promise, from a request for a
// result where that says more than what was prepared; read gives a result as a Float32Array; release
// gives it back.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [peer, modules] = process.argv.slice(2);
const { prepare } = await import(`./${peer}.mjs`);
let task;

// Libraries print on stdout; the answers have it to themselves.
console.log = console.info = console.error;

function withData(input) {
  const { buffer, byteOffset, byteLength } = readFileSync(input.file);
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength);
  const data = input.dtype === "int32" ? new Int32Array(bytes) : new Float32Array(bytes);
  return { ...input, data };
}

function loaded(request) {
  return { ...request, inputs: request.inputs?.map(withData) };
}

const actions = {
  async prepare(request) {
    task = await prepare(modules, loaded(request));
    return {};
  },

  async result(request) {
    const asked = loaded(request);
    const start = performance.now();
    const result = await task.run(asked);
    const seconds = (performance.now() - start) / 1000;
    writeFileSync(request.file, task.read(result));
    task.release(result);
    return { seconds };
  },

  async time({ loops }) {
    const start = performance.now();
    for (let i = 0; i < loops; i++) {
      let result = task.run();
      if (result instanceof Promise) result = await result;
      task.release(result);
    }
    return { seconds: (performance.now() - start) / 1000 };
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await actions[request.do](request);
  } catch (error) {
    answer = { error: String(error?.message ?? error) };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
