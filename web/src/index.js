// The package in a browser.
import { FlashWasmError } from "./errors.js";
import { loader } from "./load.js";

export * from "./exports.js";

// Bundlers recognise these files by the literal expressions.
const FILES = {
  "relaxed.wasm": new URL("../_wasm/relaxed.wasm", import.meta.url),
  "simd128.wasm": new URL("../_wasm/simd128.wasm", import.meta.url),
  "scalar.wasm": new URL("../_wasm/scalar.wasm", import.meta.url),
  "manifest.json": new URL("../_wasm/manifest.json", import.meta.url),
};

async function read(name) {
  const answer = await fetch(FILES[name]);
  if (!answer.ok) throw new FlashWasmError(`${FILES[name]} cannot be read: ${answer.status} ${answer.statusText}`);
  return answer.arrayBuffer();
}

function startWorker() {
  const worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
  return {
    post: (message) => worker.postMessage(message),
    listen(onMessage, onError) {
      worker.onmessage = (event) => onMessage(event.data);
      worker.onerror = onError;
    },
    terminate: () => worker.terminate(),
  };
}

export const load = loader({ read, startWorker, isolated: () => globalThis.crossOriginIsolated === true });
