// The SHA-256 of the bytes of arrays.
import { CapabilityError, DTypeError } from "./errors.js";
import { shown } from "./checks.js";

/** Return the SHA-256 of some bytes in hexadecimal. */
export async function sha256(bytes) {
  if (!globalThis.crypto?.subtle) {
    throw new CapabilityError("digests need a secure context: a page from https:// or from localhost");
  }
  const hash = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Return the SHA-256 of the bytes of arrays, one after another, as hashlib.sha256(x.tobytes()) does in Python. */
export async function digest(...arrays) {
  const parts = arrays.map((array, i) => {
    const data = array?.data ?? array;
    if (!ArrayBuffer.isView(data)) {
      throw new DTypeError(`array ${i}: expected a typed array or { data: typed array }, got ${shown(array)}`);
    }
    return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  });
  const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return sha256(all);
}
