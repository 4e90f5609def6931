// A program in TypeScript that uses the package. It is compiled against the package's types, and run.
import { load, ShapeError, type FlatIndex, type Floats, type Runtime } from "flashwasm";

const fw: Runtime = await load({ variant: "simd128", threads: 1, maxMemory: 2 ** 28 });
const x: Floats = { data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] };

const out: Floats = await fw.attention(x, x, x, { causal: true, window: [1, null] });
const both = await fw.attention(x, x, x, { returnLse: true });
const lse: Float32Array = both.lse.data;
const product = await fw.matmul(x, x, { bias: [1, 2] });
const { scores, indices } = await fw.topK(x, x, 1, { metric: "dot" });
const rows: Int32Array = indices.data;

const index: FlatIndex<string> = new fw.FlatIndex<string>(2, { metric: "l2" });
await index.add(x, ["right", "up"]);
const found = await index.search(x, 1, { filter: new Set(["up"]) });
await index.search(x, 1, { filter: ["up"] });
await new fw.FlatIndex<number>(2).search(x, 1, { filter: Int32Array.of(1) });
const names: (string | null)[] = found.ids.data;
const digest: string = await fw.digest(out, scores, product.data);
const refused: unknown = await fw.matmul(x, { data: x.data, shape: [4, 1] }).catch((error: unknown) => error);
await index.close();
await fw.close();

// @ts-expect-error There is no such variant.
void load({ variant: "fast" }).catch(() => undefined);
// @ts-expect-error Numbers of 64 bits are refused.
void fw.matmul({ data: new Float64Array(4), shape: [2, 2] }, x).catch(() => undefined);
// @ts-expect-error An index whose ids are strings takes no numbers.
void index.add(x, [1, 2]).catch(() => undefined);

console.log(JSON.stringify([[...lse].length, [...rows], names, digest.length, refused instanceof ShapeError]));
