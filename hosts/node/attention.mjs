// A minimal host in JavaScript: it loads a module, computes attention by one call, and prints the SHA-256 of the result.
//
//   node hosts/node/attention.mjs src/flashwasm/_wasm/simd128.wasm
//
// docs/abi.md explains each step. The npm package in web/ is the host to use in earnest.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";

// Where each block of linear memory begins. The modules' own data lies below 128 KiB.
const STACK = 128 * 1024;
const STACK_END = STACK + 64 * 1024;
const WORKSPACE = STACK_END;
const OPERANDS = WORKSPACE + 1024 * 1024;

const memory = new WebAssembly.Memory({ initial: 64, maximum: 65536, shared: true });
const module = new WebAssembly.Module(readFileSync(process.argv[2]));
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
exports.__stack_pointer.value = STACK_END;

let end = OPERANDS;

/** Return the address of room for some floats, a multiple of 64. */
function room(count) {
  const address = end;
  end += Math.ceil((4 * count) / 64) * 64;
  return address;
}

/** Return the address of numbers in [-2, 2), which every language computes exactly. */
function numbers(count, seed) {
  const address = room(count);
  const values = new Float32Array(memory.buffer, address, count);
  for (let i = 0; i < count; i++) {
    const n = i + seed * 2 ** 20;
    const mixed = Math.imul(n ^ (n >>> 7), 2654435761) >>> 0;
    values[i] = (mixed >>> 8) * 2 ** -22 - 2;
  }
  return address;
}

const [heads, keyHeads, length, dim, valueDim] = [8, 2, 300, 64, 48];
const q = numbers(heads * length * dim, 1);
const k = numbers(keyHeads * length * dim, 2);
const v = numbers(keyHeads * length * valueDim, 3);
const out = room(heads * length * valueDim);
const lse = room(heads * length);
const OPEN = 2 ** 29;

// The structure attention_f32_arguments: 48 integers, then 3 floats.
const integers = [
  ...[WORKSPACE, q, k, v, out, lse, 0, 0, 0, 0, 0, 0],
  ...[0, heads, heads / keyHeads],
  ...[0, length, 0, length, 1, length, length],
  ...[dim, valueDim, 0, 0],
  ...[dim, dim, valueDim, valueDim],
  ...[length * dim, length * dim, length * valueDim, length * valueDim, length],
  ...[0, 0, 0, 0],
  // The causal rule: query i sees all keys before key i, and none after it.
  ...[0, OPEN, 0],
  ...[0, 0, 0, 0, 0, 0],
];
const structure = room(integers.length + 3);
new Int32Array(memory.buffer, structure).set(integers);
new Float32Array(memory.buffer, structure + 4 * integers.length).set([1, 1 / Math.sqrt(dim), 0]);

const status = exports.attention_f32(structure);
if (status !== 0) throw new Error(`attention_f32 returned status ${status}`);
const hash = createHash("sha256");
hash.update(new Uint8Array(memory.buffer, out, 4 * heads * length * valueDim));
hash.update(new Uint8Array(memory.buffer, lse, 4 * heads * length));
console.log(hash.digest("hex"));
