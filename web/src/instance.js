// An instance of a module, with its own stack, memory for arguments and workspace.
import { KERNELS, LIMITS } from "./kernel_table.js";

const STACK_BYTES = 1 << 16;
const ARGUMENT_BYTES = 1 << 8;
/** Bytes of linear memory that belong to an instance. */
export const INSTANCE_BYTES = STACK_BYTES + ARGUMENT_BYTES + LIMITS.WORKSPACE_BYTES;

/** An instance of a module. Only one thread at a time may use it. */
export class Instance {
  /**
   * @param {WebAssembly.Module} module
   * @param {WebAssembly.Memory} memory the memory that all instances share
   * @param {number} base the address of the INSTANCE_BYTES that belong to this instance
   */
  constructor(module, memory, base) {
    this.exports = new WebAssembly.Instance(module, { env: { memory } }).exports;
    // The stack grows downwards, so the pointer starts at its end.
    this.exports.__stack_pointer.value = base + STACK_BYTES;
    this.structure = base + STACK_BYTES;
    this.workspace = base + STACK_BYTES + ARGUMENT_BYTES;
    this.view = new DataView(memory.buffer, this.structure, ARGUMENT_BYTES);
  }

  /**
   * Call a kernel and return its status.
   *
   * @param {string} name the name of its export
   * @param {number[]} values its arguments, without the workspace
   */
  call(name, values) {
    const kernel = KERNELS[name];
    const all = kernel.workspace ? [this.workspace, ...values] : values;
    if (!kernel.inMemory) return this.exports[name](...all);
    const letters = `${kernel.workspace ? "p" : ""}${kernel.signature}`;
    for (let i = 0; i < letters.length; i++) {
      if (letters[i] === "f") this.view.setFloat32(4 * i, all[i], true);
      else if (letters[i] === "i") this.view.setInt32(4 * i, all[i], true);
      else this.view.setUint32(4 * i, all[i], true);
    }
    return this.exports[name](this.structure);
  }

  /** Make the calls of a task in order. Throw an error if a kernel rejects its arguments. */
  runTask(name, calls) {
    for (const values of calls) {
      const status = this.call(name, values);
      if (status !== 0) throw new Error(`${name} returned status ${status}`);
    }
  }
}
