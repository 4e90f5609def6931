// The package in Node.
import { readFile } from "node:fs/promises";
import { Worker } from "node:worker_threads";
import { loader } from "./load.js";

export * from "./exports.js";

function startWorker() {
  const worker = new Worker(new URL("./worker_node.js", import.meta.url));
  return {
    post: (message) => worker.postMessage(message),
    listen(onMessage, onError) {
      worker.removeAllListeners();
      worker.on("message", onMessage);
      worker.on("error", onError);
    },
    terminate: () => worker.terminate(),
  };
}

export const load = loader({
  read: (name) => readFile(new URL(`../_wasm/${name}`, import.meta.url)),
  startWorker,
  // Node can always share memory with its threads.
  isolated: () => true,
});
