// Run one case of one peer. The script reads requests from stdin and writes answers to stdout, one line
// of JSON each:
//
//   node --no-liftoff --experimental-import-meta-resolve serve.mjs PEER NODE_MODULES
//
//   {"do": "prepare", "operation", "options", "inputs": [{"file", "shape", "dtype"}], "model"?}
//       load the inputs; the answer is {}
//   {"do": "result", "file", "inputs"?}
//       compute once and write the result to the file as raw float32; the answer is {"seconds"}
//   {"do": "time", "loops"}
//       compute `loops` times; the answer is {"seconds"}, by this process's clock
//
// If something fails, the answer is {"error"}. The script of a peer exports prepare(modules, request),
// which returns { run, read, release }. `run` computes, at once or as a promise; its argument is the
// request for a result, whose inputs may differ from the prepared ones. `read` returns a result as a
// Float32Array, and `release` frees it.
import { readFileSync, writeFileSync } from "node:fs";
import { createInterface } from "node:readline";

const [peer, modules] = process.argv.slice(2);
const { prepare } = await import(`./${peer}.mjs`);
let task;

// Libraries print on stdout, which is reserved for the answers.
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
