// A second host of the modules: loads a memory image, makes the calls it is told, writes memory back.
//
//   node second_host.mjs request.json
//
// The request names the module, the image, where the image lies, the top of the stack, the calls
// [export, [arguments]] and the file for what memory holds afterwards.
import { readFileSync, writeFileSync } from "node:fs";

const request = JSON.parse(readFileSync(process.argv[2], "utf8"));
const memory = new WebAssembly.Memory({ initial: request.pages, maximum: 65536, shared: true });
const module = new WebAssembly.Module(readFileSync(request.module));
const { exports } = new WebAssembly.Instance(module, { env: { memory } });
exports.__stack_pointer.value = request.stackTop;

const image = readFileSync(request.image);
const bytes = new Uint8Array(memory.buffer, request.address, image.length);
bytes.set(image);
const statuses = request.calls.map(([name, args]) => exports[name](...args));
writeFileSync(request.output, bytes.slice());
console.log(JSON.stringify(statuses));
