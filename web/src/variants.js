// The variants of the kernels, and the check that this engine can run one.
import { CapabilityError } from "./errors.js";

/** The variants, from the fastest to the slowest. */
export const VARIANTS = ["relaxed", "simd128", "scalar"];

function bytesOf(hex) {
  return Uint8Array.from(hex.replaceAll(" ", "").match(/../g), (pair) => parseInt(pair, 16));
}

// (module (func (export "f") (param f32 f32 f32) (result f32)
//   (f32x4.extract_lane 0 (f32x4.relaxed_madd
//     (f32x4.splat (local.get 0)) (f32x4.splat (local.get 1)) (f32x4.splat (local.get 2))))))
const MULTIPLY_ADD = bytesOf(
  "0061736d01000000 010801 60037d7d7d017d 03020100 0705 01 0166 00 00" +
    "0a1601140020 00fd13 2001fd13 2002fd13 fd8502 fd1f00 0b",
);
// (module (func (export "f") (param f32) (result f32) (f32x4.extract_lane 0 (f32x4.splat (local.get 0)))))
const SPLAT = bytesOf("0061736d01000000 010601 60017d017d 03020100 0705 01 0166 00 00 0a0b01 0900 2000 fd13 fd1f00 0b");
// (module (memory 1 1 shared))
const SHARED_MEMORY = bytesOf("0061736d01000000 0504 01 03 01 01");

/**
 * Return true if this engine rounds a relaxed multiply-add once, as the same bits on all hosts require.
 *
 * An engine on a processor without the instruction may round twice.
 */
function fuses() {
  const { f } = new WebAssembly.Instance(new WebAssembly.Module(MULTIPLY_ADD)).exports;
  // With e = 2^-12, (1 + e) (1 - e) - 1 is -e^2; if the product is rounded first, it is 0.
  return f(1 + 2 ** -12, 1 - 2 ** -12, -1) === -(2 ** -24);
}

/** Return the reason why this engine cannot run a variant, or undefined if it can. */
function obstacle(variant) {
  if (variant === "scalar") return undefined;
  if (!WebAssembly.validate(SPLAT)) return "it has no WebAssembly SIMD";
  if (variant === "simd128") return undefined;
  if (!WebAssembly.validate(MULTIPLY_ADD)) return "it has no relaxed WebAssembly SIMD";
  return fuses() ? undefined : "it rounds a multiply-add twice, so results would differ from those elsewhere";
}

/** Return the variant to run: the requested one, or the fastest that this engine can run. */
export function checkedVariant(variant) {
  if (typeof WebAssembly !== "object" || !WebAssembly.validate(SHARED_MEMORY)) {
    throw new CapabilityError("flashwasm needs WebAssembly with shared memory, which this browser lacks");
  }
  if (variant === "auto") return VARIANTS.find((one) => obstacle(one) === undefined);
  const reason = obstacle(variant);
  if (reason !== undefined) throw new CapabilityError(`variant: this browser cannot run ${variant}: ${reason}`);
  return variant;
}
