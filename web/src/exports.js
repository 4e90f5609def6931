// The names that the package exports in addition to `load`.
export { digest } from "./digest.js";
export * from "./errors.js";
export { VARIANTS } from "./variants.js";
