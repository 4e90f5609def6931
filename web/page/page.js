// The page: it loads the package, computes the golden cases and measures speed.
//
// Parameters of the address: variant and threads, as the form sends them, and milliseconds, for which each speed is
// measured. A browser compiles a kernel anew, for speed, once it has run for a while; so a short time shows too little.
import { load } from "../src/index.js";
import { digestOf } from "./golden_cases.js";

const parameters = new URLSearchParams(location.search);
const MEASURED = Number(parameters.get("milliseconds") ?? 1000);
const form = document.querySelector("form");
const status = document.querySelector("#status");

/** Add a row to a table. The first cell is its heading. */
function addRow(table, [heading, ...cells]) {
  const row = document.querySelector(`#${table} tbody`).insertRow();
  const head = document.createElement("th");
  head.scope = "row";
  head.textContent = heading;
  row.append(head);
  for (const text of cells) {
    const cell = row.insertCell();
    cell.textContent = text;
    cell.classList.toggle("digest", text.length === 64);
  }
}

/** Return random arrays of a shape. */
function random(...shape) {
  const data = Float32Array.from({ length: shape.reduce((x, y) => x * y, 1) }, () => Math.random() * 2 - 1);
  return { data, shape };
}

/** Return the milliseconds that a function takes, the shortest of two times or more. */
async function shortest(compute) {
  let best = Infinity;
  const begin = performance.now();
  for (let i = 0; i < 2 || performance.now() - begin < MEASURED; i++) {
    const start = performance.now();
    await compute();
    best = Math.min(best, performance.now() - start);
  }
  return best;
}

async function compareDigests(fw) {
  const golden = await (await fetch(new URL("golden.json", import.meta.url))).json();
  let equal = 0;
  for (const one of golden.cases) {
    const begin = performance.now();
    const digest = await digestOf(fw, one);
    const time = performance.now() - begin;
    const same = digest === golden.digests[fw.variant][one.name];
    equal += same;
    addRow("digests", [one.name, time.toFixed(1), digest, same ? "equal" : "different"]);
  }
  return equal === golden.cases.length
    ? `All ${equal} digests equal Python's.`
    : `${golden.cases.length - equal} of ${golden.cases.length} digests differ from Python's.`;
}

async function measureSpeed(fw) {
  const [heads, length, dim] = [4, 512, 64];
  const [q, k, v] = [random(heads, length, dim), random(heads, length, dim), random(heads, length, dim)];
  const attention = await shortest(() => fw.attention(q, k, v));
  const flops = 4 * heads * length * length * dim;
  addRow("speed", [
    `attention of ${heads} heads, ${length} queries and keys, dimension ${dim}`,
    attention.toFixed(2),
    `${(flops / attention / 1e6).toFixed(1)} GFLOP/s`,
  ]);
  const [count, columns, queries] = [10000, 384, 8];
  const index = new fw.FlatIndex(columns);
  await index.add(random(count, columns));
  const wanted = random(queries, columns);
  const search = await shortest(() => index.search(wanted, 10));
  await index.close();
  addRow("speed", [
    `similarity search: ${queries} queries, ${count.toLocaleString("en")} vectors of ${columns}`,
    search.toFixed(2),
    `${Math.round((1000 * queries) / search).toLocaleString("en")} queries/s`,
  ]);
}

async function main() {
  form.variant.value = parameters.get("variant") ?? "auto";
  form.threads.value = parameters.get("threads") ?? "1";
  const fw = await load({ variant: form.variant.value, threads: Number(form.threads.value) });
  const using = `Variant ${fw.variant}, ${fw.threads === 1 ? "one thread" : `${fw.threads} threads`}.`;
  status.textContent = `${using} Computing.`;
  const verdict = await compareDigests(fw);
  status.textContent = `${using} ${verdict} Measuring speed.`;
  await measureSpeed(fw);
  await fw.close();
  const fewer = fw.threads < Number(form.threads.value);
  const why = fewer ? " This page is not cross-origin isolated, so more threads are not possible." : "";
  status.textContent = `${using} ${verdict}${why}`;
  document.body.dataset.state = "done";
}

main().catch((error) => {
  status.textContent = `${error.name}: ${error.message}`;
  document.body.dataset.state = "failed";
});
