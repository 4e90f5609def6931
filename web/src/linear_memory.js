// The linear memory that all instances import, and the allocator of its blocks.
import { CapabilityError, OutOfMemoryError } from "./errors.js";

const PAGE_BYTES = 1 << 16;
const MOST_PAGES = 1 << 16;
// The modules' own data is below this address.
const FIRST_FREE = 2 * PAGE_BYTES;
const ALIGNMENT = 64;
// Memory grows by at least a megabyte, because each growth is a system call.
const GROW_PAGES = 16;

function rounded(bytes) {
  return Math.max(Math.ceil(bytes / ALIGNMENT), 1) * ALIGNMENT;
}

/** A shared WebAssembly memory. Free blocks are merged with free neighbours, and allocated first fit. */
export class LinearMemory {
  /** @param {number} maxBytes the maximum size of the memory in bytes, at most 4 GiB */
  constructor(maxBytes) {
    this.maxBytes = maxBytes;
    const maximum = Math.min(Math.max(Math.floor(maxBytes / PAGE_BYTES), FIRST_FREE / PAGE_BYTES), MOST_PAGES);
    try {
      // A shared memory can be created on any page. Only posting it to a worker requires cross-origin isolation.
      this.memory = new WebAssembly.Memory({ initial: FIRST_FREE / PAGE_BYTES, maximum, shared: true });
    } catch (error) {
      throw new CapabilityError(
        `this browser makes no shared WebAssembly memory of up to ${maximum * PAGE_BYTES} bytes: ${error.message}`,
        { cause: error },
      );
    }
    this.maximum = maximum;
    this.end = FIRST_FREE;
    /** Free blocks [address, bytes] in order of their addresses. */
    this.free = [];
    /** Bytes of each block that is in use, by its address. */
    this.used = new Map();
    /** Bytes of the blocks that belong to instances as long as the memory exists. */
    this.instanceBytes = 0;
  }

  /** Bytes of all blocks in use. */
  get inUse() {
    let sum = 0;
    for (const bytes of this.used.values()) sum += bytes;
    return sum;
  }

  /** Return the address of a new block, a multiple of 64. */
  allocate(bytes) {
    const size = rounded(bytes);
    let at = this.free.findIndex((block) => block[1] >= size);
    if (at < 0) {
      this.grow(size);
      at = this.free.length - 1;
    }
    const [address, available] = this.free[at];
    if (available === size) this.free.splice(at, 1);
    else this.free[at] = [address + size, available - size];
    this.used.set(address, size);
    return address;
  }

  /** Take a block back. */
  release(address) {
    const size = this.used.get(address);
    this.used.delete(address);
    this.addFree(address, size);
  }

  /** Grow memory until the last free block has at least `size` bytes. */
  grow(size) {
    const last = this.free.at(-1);
    const atEnd = last !== undefined && last[0] + last[1] === this.end ? last[1] : 0;
    const pages = this.end / PAGE_BYTES;
    const needed = Math.ceil((size - atEnd) / PAGE_BYTES);
    if (pages + needed > this.maximum) this.fail(size);
    const added = Math.min(Math.max(needed, GROW_PAGES), this.maximum - pages);
    try {
      this.memory.grow(added);
    } catch {
      this.fail(size);
    }
    const begin = this.end;
    this.end += added * PAGE_BYTES;
    this.addFree(begin, added * PAGE_BYTES);
  }

  fail(size) {
    throw new OutOfMemoryError(
      `linear memory is full: ${size} bytes requested, ${this.inUse} in use, ${this.maxBytes} allowed (maxMemory)`,
    );
  }

  addFree(address, size) {
    let at = this.free.findIndex((block) => block[0] > address);
    if (at < 0) at = this.free.length;
    this.free.splice(at, 0, [address, size]);
    for (const first of [at, at - 1]) {
      const [one, next] = [this.free[first], this.free[first + 1]];
      if (one && next && one[0] + one[1] === next[0]) this.free.splice(first, 2, [one[0], one[1] + next[1]]);
    }
  }

  /** Return a typed array over memory. It is valid until memory grows. */
  view(Type, address, length) {
    return new Type(this.memory.buffer, address, length);
  }
}
