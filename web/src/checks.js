// Checks of arguments. A wrong argument throws an error that names it.
import { DTypeError, ShapeError } from "./errors.js";

/** Return a value as text for an error message, truncated to a line. */
export function shown(value) {
  if (ArrayBuffer.isView(value)) return `${value.constructor.name} of length ${value.length}`;
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value === "bigint") return `${value}n`;
  let text;
  try {
    text = JSON.stringify(value) ?? String(value);
  } catch {
    text = Object.prototype.toString.call(value);
  }
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** Return the number of elements of a shape. */
export function sizeOf(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** Return a shape as text: (2, 3). */
export function shapeText(shape) {
  return `(${[...shape].join(", ")})`;
}

/** Return the options, or throw DTypeError if one of them is unknown. */
export function checkedOptions(options, name, known) {
  if (options === undefined) return {};
  if (options === null || typeof options !== "object" || Array.isArray(options)) {
    throw new DTypeError(`${name}: expected an object of options, got ${shown(options)}`);
  }
  const unknown = Object.keys(options).find((option) => !known.includes(option));
  if (unknown !== undefined) {
    throw new DTypeError(`${name}: unknown option ${shown(unknown)}; expected one of ${known.join(", ")}`);
  }
  return options;
}

/**
 * Return an array { data, shape } whose data has one of the given types.
 *
 * @param {unknown} value the argument
 * @param {string} name its name, for messages
 * @param {Function[]} types the accepted types of its data @param {[number, number]} axes the minimum and maximum
 * number of axes
 */
export function checkedArray(value, name, types, [fewest, most] = [0, Infinity]) {
  const expected = types.map((type) => type.name).join(" or ");
  if (value === null || typeof value !== "object" || !("data" in value) || !("shape" in value)) {
    throw new DTypeError(`${name}: expected { data: ${expected}, shape: number[] }, got ${shown(value)}`);
  }
  const { data, shape } = value;
  if (!types.some((type) => data instanceof type)) {
    throw new DTypeError(`${name}.data: expected ${expected}, got ${shown(data)}`);
  }
  if (!Array.isArray(shape) || !shape.every((size) => Number.isInteger(size) && size >= 0)) {
    throw new DTypeError(`${name}.shape: expected an array of whole numbers from 0 up, got ${shown(shape)}`);
  }
  if (sizeOf(shape) !== data.length) {
    throw new ShapeError(`${name}: shape ${shapeText(shape)} has ${sizeOf(shape)} elements, data has ${data.length}`);
  }
  if (shape.length < fewest || shape.length > most) {
    const range = fewest === most ? `${fewest}` : `at least ${fewest}`;
    throw new ShapeError(`${name}: expected ${range} axes, got shape ${shapeText(shape)}`);
  }
  return value;
}

/** Return an array { data, shape } of float32. */
export function floats(value, name, axes) {
  return checkedArray(value, name, [Float32Array], axes);
}

/** Return a Float32Array of a length, from numbers or a Float32Array. */
export function vector(value, name, length, of) {
  if (!(value instanceof Float32Array) && !(Array.isArray(value) && value.every((x) => typeof x === "number"))) {
    throw new DTypeError(`${name}: expected a Float32Array or an array of numbers, got ${shown(value)}`);
  }
  if (value.length !== length) {
    throw new ShapeError(`${name}: expected ${length} numbers, one for each of the ${of}, got ${value.length}`);
  }
  return Float32Array.from(value);
}

/** Return a whole number of at least `least`. */
export function wholeNumber(value, name, least) {
  if (typeof value !== "number" || !Number.isInteger(value)) {
    throw new DTypeError(`${name}: expected a whole number, got ${shown(value)}`);
  }
  if (value < least) throw new ShapeError(`${name}: expected at least ${least}, got ${value}`);
  return value;
}

/** Return a number that is finite as a float32. */
export function finite(value, name) {
  if (typeof value !== "number") throw new DTypeError(`${name}: expected a number, got ${shown(value)}`);
  if (!Number.isFinite(Math.fround(value))) throw new ShapeError(`${name}: expected a finite float32, got ${value}`);
  return value;
}

/** Return a value that is one of some choices. */
export function choice(value, name, choices) {
  if (!choices.includes(value)) {
    throw new ShapeError(`${name}: expected one of ${choices.map(shown).join(", ")}, got ${shown(value)}`);
  }
  return value;
}

/** Return the result of a check for a value, or undefined if there is no value. */
export function optional(value, check) {
  return value === undefined || value === null ? undefined : check(value);
}

/** Return a boolean. */
export function flag(value, name) {
  if (typeof value !== "boolean") throw new DTypeError(`${name}: expected true or false, got ${shown(value)}`);
  return value;
}

/** Throw ShapeError if a vector contains NaN, infinity, or a component whose magnitude is too large. */
export function checkMagnitudes(array, name, largest) {
  const { data, shape } = array;
  for (let i = 0; i < data.length; i++) {
    // Comparisons with NaN are false, so NaN fails this check.
    if (!(Math.abs(data[i]) < largest)) {
      const limit = largest === Infinity ? "finite numbers" : `numbers below ${largest} in magnitude`;
      throw new ShapeError(`${name}: expected ${limit}, got ${data[i]} in row ${Math.floor(i / shape[1])}`);
    }
  }
}
