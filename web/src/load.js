// Loading: chooses a variant, checks the module's digest, and creates linear memory and the crew.
import { checkedOptions, choice, wholeNumber } from "./checks.js";
import { OwnThread, WorkerCrew } from "./crews.js";
import { sha256 } from "./digest.js";
import { FlashWasmError, OutOfMemoryError } from "./errors.js";
import { INSTANCE_BYTES } from "./instance.js";
import { LinearMemory } from "./linear_memory.js";
import { Runtime } from "./runtime.js";
import { checkedVariant, VARIANTS } from "./variants.js";

const DEFAULT_MEMORY = 2 ** 30;
const MOST_THREADS = 64;

const NOT_ISOLATED =
  "but this page is not cross-origin isolated, so its memory cannot be shared with workers: one thread is used. " +
  "To isolate it, send the headers Cross-Origin-Opener-Policy: same-origin and " +
  "Cross-Origin-Embedder-Policy: require-corp";

/**
 * Return `load` for a platform.
 *
 * @param {object} platform
 *   read(name): the bytes of a file of the package; startWorker(): a worker; isolated(): true if memory can be posted
 */
export function loader(platform) {
  return async function load(options) {
    const { variant = "auto", threads = 1, maxMemory = DEFAULT_MEMORY } = checkedOptions(options, "options", [
      "variant",
      "threads",
      "maxMemory",
    ]);
    choice(variant, "variant", ["auto", ...VARIANTS]);
    let count = Math.min(wholeNumber(threads, "threads", 1), MOST_THREADS);
    wholeNumber(maxMemory, "maxMemory", 1);
    if (count > 1 && !platform.isolated()) {
      console.warn(`flashwasm: ${threads} threads were asked for, ${NOT_ISOLATED}`);
      count = 1;
    }
    const chosen = checkedVariant(variant);
    const { bytes, digest } = await checkedModule(platform, chosen);
    const module = await WebAssembly.compile(bytes);
    const memory = new LinearMemory(maxMemory);
    let bases;
    try {
      bases = Array.from({ length: count }, () => memory.allocate(INSTANCE_BYTES));
    } catch (error) {
      if (!(error instanceof OutOfMemoryError)) throw error;
      const message = `maxMemory: ${maxMemory} bytes are too few for the stacks and workspaces of ${count} threads`;
      throw new OutOfMemoryError(message, { cause: error });
    }
    memory.instanceBytes = memory.inUse;
    const crew =
      count === 1
        ? new OwnThread(module, memory.memory, bases[0])
        : await WorkerCrew.start(module, memory.memory, bases, platform.startWorker);
    return new Runtime({ memory, crew, variant: chosen, moduleSha256: digest });
  };
}

/** Return the bytes of a variant's module and their digest from the manifest. */
async function checkedModule(platform, variant) {
  const [bytes, text] = await Promise.all([platform.read(`${variant}.wasm`), platform.read("manifest.json")]);
  const digest = JSON.parse(new TextDecoder().decode(text)).modules[variant].sha256;
  // Only secure contexts can compute digests.
  if (globalThis.crypto?.subtle && (await sha256(bytes)) !== digest) {
    throw new FlashWasmError(`${variant}.wasm is damaged: its SHA-256 is not the one in manifest.json`);
  }
  return { bytes, digest };
}
