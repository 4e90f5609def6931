// The errors that flashwasm throws: one base, and the classes that derive from it.

/** Base class of every error that flashwasm throws on purpose. */
export class FlashWasmError extends Error {
  constructor(message, options) {
    super(message, options);
    this.name = new.target.name;
  }
}

/** An argument has a shape or a value that the operation does not accept. */
export class ShapeError extends FlashWasmError {}

/** An argument has a type that the operation does not accept. */
export class DTypeError extends FlashWasmError {}

/** Linear memory is too small for the operation. */
export class OutOfMemoryError extends FlashWasmError {}

/** The browser lacks a required feature; the message names it. */
export class CapabilityError extends FlashWasmError {}

/** The runtime or the index was closed. */
export class ClosedError extends FlashWasmError {}
