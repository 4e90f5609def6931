// Copies what is kept elsewhere in the checkout into the package: the built modules, their manifest and the licence.
//
//   node copy_modules.mjs
//
// npm runs it before it packs. Run it to open page/index.html from the checkout.
import { copyFileSync, mkdirSync } from "node:fs";

const here = new URL(".", import.meta.url);
mkdirSync(new URL("_wasm/", here), { recursive: true });
for (const name of ["relaxed.wasm", "simd128.wasm", "scalar.wasm", "manifest.json"]) {
  copyFileSync(new URL(`../src/flashwasm/_wasm/${name}`, here), new URL(`_wasm/${name}`, here));
}
copyFileSync(new URL("../LICENSE", here), new URL("LICENSE", here));
