// A launch: one call of an operation, which owns temporary blocks of linear memory.

/** Temporary memory and tasks of one operation. */
export class Launch {
  constructor(linearMemory, crew) {
    this.memory = linearMemory;
    this.crew = crew;
    this.blocks = [];
  }

  get threads() {
    return this.crew.threads;
  }

  /** Allocate some bytes, and return their address. */
  room(bytes) {
    const address = this.memory.allocate(bytes);
    this.blocks.push(address);
    return address;
  }

  /** Copy a typed array into linear memory, and return its address. */
  place(data) {
    const address = this.room(data.byteLength);
    this.memory.view(data.constructor, address, data.length).set(data);
    return address;
  }

  /** Return a copy of data in linear memory as a new typed array. */
  copy(Type, address, length) {
    return this.memory.view(Type, address, length).slice();
  }

  /** Run the tasks of a kernel. Each task is a list of calls. */
  async run(kernel, tasks) {
    await this.crew.run(kernel, tasks);
  }

  /** Release all blocks. */
  end() {
    for (const address of this.blocks) this.memory.release(address);
    this.blocks = [];
  }
}
