// The package in Node: arguments, memory, indexes. tests/web/test_package.py runs it beside the packed package.
import assert from "node:assert/strict";
import { test } from "node:test";
import { load, OutOfMemoryError, ShapeError, VARIANTS } from "flashwasm";

const array = (data, ...shape) => ({ data: Float32Array.from(data), shape });
const zeros = (...shape) => ({ data: new Float32Array(shape.reduce((x, y) => x * y, 1)), shape });

const fw = await load();
test.after(() => fw.close());

test("wrong arguments are refused with the name, what it was and what was expected", async () => {
  const x = zeros(2, 4, 8);
  const index = new fw.FlatIndex(8);
  const cases = [
    [() => load({ variant: "fast" }), 'ShapeError: variant: expected one of "auto", "relaxed"'],
    [() => load({ threads: 0 }), "ShapeError: threads: expected at least 1, got 0"],
    [() => load({ threads: "2" }), 'DTypeError: threads: expected a whole number, got "2"'],
    [() => load({ maxMemory: 1000 }), "OutOfMemoryError: maxMemory: 1000 bytes are too few"],
    [() => load({ thread: 2 }), 'DTypeError: options: unknown option "thread"; expected one of variant, threads'],
    [() => load(4), "DTypeError: options: expected an object of options, got 4"],
    [() => fw.attention([1], x, x), "DTypeError: q: expected { data: Float32Array, shape: number[] }, got [1]"],
    [() => fw.attention(x.data, x, x), "DTypeError: q: expected { data: Float32Array, shape: number[] }, got Float32"],
    [() => fw.attention({ data: [1], shape: [1, 1] }, x, x), "DTypeError: q.data: expected Float32Array, got [1]"],
    [() => fw.attention({ data: x.data, shape: [64, -1] }, x, x), "DTypeError: q.shape: expected an array of whole"],
    [() => fw.attention({ data: x.data, shape: [2, 2] }, x, x), "ShapeError: q: shape (2, 2) has 4 elements, data has 64"],
    [() => fw.attention(zeros(8), x, x), "ShapeError: q: expected at least 2 axes, got shape (8)"],
    [() => fw.attention(x, zeros(2, 4, 7), x), "ShapeError: k: expected the head dimension of q, 8, got shape (2, 4, 7)"],
    [() => fw.attention(x, x, zeros(2, 5, 8)), "ShapeError: v: expected the heads and length of k, (2, 4), got"],
    [() => fw.attention(zeros(3, 4, 8), x, x), "ShapeError: q: expected a multiple of the 2 heads of k, got shape (3, 4"],
    [() => fw.attention(zeros(1, 1, 257), zeros(1, 1, 257), zeros(1, 1, 8)), "ShapeError: q: expected a head dimension of"],
    [() => fw.attention(x, zeros(1, 2, 4, 8), zeros(1, 2, 4, 8)), "ShapeError: k: expected the leading axes of q, ()"],
    [() => fw.attention(x, zeros(2, 5, 8), zeros(2, 5, 8), { causal: true }), "ShapeError: causal: true is ambiguous"],
    [() => fw.attention(x, x, x, { causal: "left" }), 'ShapeError: causal: expected one of false, true, "top_left"'],
    [() => fw.attention(x, x, x, { causal: 0.5 }), "DTypeError: causal: expected a whole number, got 0.5"],
    [() => fw.attention(x, x, x, { scale: NaN }), "ShapeError: scale: expected a finite float32, got NaN"],
    [() => fw.attention(x, x, x, { scale: "1" }), 'DTypeError: scale: expected a number, got "1"'],
    [() => fw.attention(x, x, x, { softcap: -1 }), "ShapeError: softcap: expected a positive number, or 0 for none, got -1"],
    [() => fw.attention(x, x, x, { window: 5 }), "ShapeError: window: expected [left, right], got 5"],
    [() => fw.attention(x, x, x, { window: [1, -2] }), "ShapeError: window: expected sides of at least 0, or null for"],
    [() => fw.attention(x, x, x, { window: [1, 0.5] }), "DTypeError: window: expected whole numbers or null, got [1,0.5]"],
    [() => fw.attention(x, x, x, { sinks: [1] }), "ShapeError: sinks: expected 2 numbers, one for each of the query heads"],
    [() => fw.attention(x, x, x, { sinks: 0 }), "DTypeError: sinks: expected a Float32Array or an array of numbers, got 0"],
    [() => fw.attention(x, x, x, { alibiSlopes: ["1"] }), "DTypeError: alibiSlopes: expected a Float32Array or an array"],
    [() => fw.attention(x, x, x, { mask: zeros(3, 4) }), "ShapeError: mask: expected a shape that broadcasts to (2, 4, 4)"],
    [() => fw.attention(x, x, x, { returnLse: 1 }), "DTypeError: returnLse: expected true or false, got 1"],
    [() => fw.attention(x, x, x, { is_causal: true }), 'DTypeError: options: unknown option "is_causal"; expected one of'],
    [() => fw.attention(x, x, x, { dropout: 1 }), "ShapeError: dropout: expected a probability from 0 to less than 1, got 1"],
    [() => fw.attention(x, x, x, { seed: 0.5 }), "DTypeError: seed: expected a whole number or a bigint, got 0.5"],
    [() => fw.attention(x, x, x, { seed: -1n }), "ShapeError: seed: expected at least 0 and less than 2 ** 64, got -1"],
    [() => fw.attention(x, x, x, { kvLengths: [1, 2] }), "ShapeError: kvLengths: expected 1 whole numbers, one for each"],
    [() => fw.attention(x, x, x, { kvLengths: [5] }), "ShapeError: kvLengths: expected whole numbers from 0 to 4, the number of keys"],
    [() => fw.matmul(zeros(2, 3), zeros(2, 3)), "ShapeError: b: expected 3 rows, the columns of a, got shapes (2, 3)"],
    [() => fw.matmul(zeros(2, 1, 3), zeros(3, 3, 1)), "ShapeError: leading axes: a has (2), b has (3), which do not"],
    [() => fw.matmul(zeros(2, 3), zeros(3, 1), { bias: [1, 2] }), "ShapeError: bias: expected 1 numbers, one for each of"],
    [() => fw.topK(zeros(1, 3), zeros(4, 3), 5), "ShapeError: k: expected at most the 4 rows of corpus, got 5"],
    [() => fw.topK(zeros(1, 2), zeros(4, 3), 1), "ShapeError: queries: expected 3 columns, as corpus has, got shape"],
    [() => fw.topK(zeros(1, 3), zeros(4, 3), 1, { metric: "l1" }), 'ShapeError: metric: expected one of "cosine", "dot"'],
    [() => fw.topK(zeros(3), zeros(4, 3), 1), "ShapeError: queries: expected 2 axes, got shape (3)"],
    [async () => new fw.FlatIndex(0), "ShapeError: dim: expected at least 1, got 0"],
    [async () => new fw.FlatIndex(16385), "ShapeError: dim: expected at most 16384, got 16385"],
    [() => index.add(zeros(1, 7)), "ShapeError: vectors: expected 8 columns, the index's dim, got shape (1, 7)"],
    [() => index.add(array(Array(8).fill(NaN), 1, 8)), "ShapeError: vectors: expected finite numbers, got NaN in row 0"],
    [() => index.add(zeros(2, 8), [1, 1]), "ShapeError: ids: 1 is given twice"],
    [() => index.add(zeros(2, 8), [1]), "ShapeError: ids: expected 2, one for each vector, got 1"],
    [() => index.add(zeros(2, 8), [1, "a"]), 'DTypeError: ids: expected a number, as the ids before it, got "a"'],
    [() => index.add(zeros(1, 8), [0.5]), "DTypeError: ids: expected whole numbers or strings, got 0.5"],
    [() => index.add(zeros(1, 8), "a"), 'DTypeError: ids: expected an array of whole numbers or of strings, got "a"'],
    [() => index.remove([3]), "ShapeError: ids: 3 is not in the index"],
    [() => index.search(zeros(1, 8), 0), "ShapeError: k: expected at least 1, got 0"],
    [() => index.search(zeros(1, 8), 1, { filter: "a" }), 'DTypeError: filter: expected an array of whole numbers or of'],
    [() => index.search(zeros(1, 8), 1, { filter: [1.5] }), "DTypeError: filter: expected whole numbers or strings, got 1.5"],
    [() => index.search(zeros(1, 8), 1, { filter: [true] }), "DTypeError: filter: expected whole numbers or strings, got"],
    [() => index.search(zeros(1, 8), 1, { filter: [1, 0, 1] }), "ShapeError: filter: expected a mask in a Uint8Array, or"],
    [() => index.search(zeros(1, 8), 1, { filter: new Uint8Array(2) }), "ShapeError: filter: expected 0 bytes, one for"],
    [() => fw.digest("text"), 'DTypeError: array 0: expected a typed array or { data: typed array }, got "text"'],
  ];
  for (const [call, expected] of cases) {
    const error = await call().then(
      () => assert.fail(`no error where expected: ${expected}`),
      (found) => found,
    );
    assert.ok(`${error.name}: ${error.message}`.startsWith(expected), `${error.name}: ${error.message}\n${expected}`);
  }
});

test("memory of a call is free after it, also after an error", async () => {
  const small = await load({ maxMemory: 8 * 2 ** 20 });
  const x = zeros(1, 300, 64);
  await small.attention(x, x, x);
  assert.equal(small.memoryInUse, 0);
  const large = zeros(1, 10000, 64);
  await assert.rejects(small.attention(large, large, large), OutOfMemoryError);
  assert.equal(small.memoryInUse, 0);
  const index = new small.FlatIndex(64);
  await index.add(zeros(1000, 64));
  assert.equal(small.memoryInUse, index.nbytes);
  await assert.rejects(index.add(zeros(20000, 64)), OutOfMemoryError);
  assert.equal(index.size, 1000);
  await index.close();
  assert.equal(small.memoryInUse, 0);
  await assert.rejects(index.search(zeros(1, 64), 1), { name: "ClosedError" });
  // The memory that was freed is one block again: it has room for what filled nearly all of it.
  for (let i = 0; i < 50; i++) await small.matmul(zeros(100 + i, 400), zeros(400, 300));
  await small.matmul(zeros(1, 1_600_000), zeros(1_600_000, 0));
  await small.close();
  await assert.rejects(small.attention(x, x, x), { name: "ClosedError" });
  await small.close();
});

test("an index adds, removes, filters and names its vectors", async () => {
  const index = new fw.FlatIndex(2, { metric: "dot" });
  const nearest = async (k, options) => (await index.search(array([1, 0], 1, 2), k, options)).ids.data;
  assert.deepEqual(await nearest(2), [-1, -1]);
  await index.add(array([3, 0, 1, 0, 2, 0], 3, 2), ["three", "one", "two"]);
  assert.deepEqual(await nearest(4), ["three", "two", "one", null]);
  assert.deepEqual(await nearest(2, { filter: new Set(["one", "two", "nine"]) }), ["two", "one"]);
  assert.deepEqual(await nearest(2, { filter: ["one", "two", "nine"] }), ["two", "one"]);
  assert.deepEqual(await nearest(2, { filter: [] }), [null, null]);
  assert.deepEqual(await nearest(2, { filter: Uint8Array.of(1, 0, 0) }), ["three", null]);
  await assert.rejects(index.add(array([1, 1], 1, 2)), ShapeError);
  await index.add(array(Array.from({ length: 40 }, (_, i) => 1 / (i + 2)), 20, 2), [..."abcdefghijklmnopqrst"]);
  await index.remove(["three", "b", "t"]);
  assert.deepEqual(index.ids, ["one", "two", ..."acdefghijklmnopqrs"]);
  assert.deepEqual(await nearest(5), ["two", "one", "a", "c", "d"]);
  assert.deepEqual(await nearest(1, { filter: new Set(["s"]) }), ["s"]);
  const { scores } = await index.search(array([1, 0], 1, 2), 3);
  assert.deepEqual([...scores.data], [2, 1, 0.5]);
  await index.close();
  const numbered = new fw.FlatIndex(2);
  await numbered.add(zeros(1, 2), [7]);
  await numbered.add(zeros(2, 2));
  assert.deepEqual(numbered.ids, [7, 8, 9]);
  for (const Type of [Int32Array, Uint32Array, Float64Array, Array]) {
    const { ids } = await numbered.search(zeros(1, 2), 3, { filter: Type.of(9, 7, 5) });
    assert.deepEqual(ids.data, [7, 9, -1]);
  }
  await numbered.add(zeros(1, 2), Int32Array.of(20));
  await numbered.remove(Int32Array.of(7, 8));
  assert.deepEqual(numbered.ids, [9, 20]);
  await numbered.close();
});

test("empty arrays give empty results, and queries that see nothing give zeros", async () => {
  assert.deepEqual((await fw.matmul(zeros(0, 3), zeros(3, 2))).shape, [0, 2]);
  assert.deepEqual([...(await fw.matmul(zeros(1, 0), zeros(0, 2), { bias: [4, 5] })).data], [4, 5]);
  assert.deepEqual((await fw.attention(zeros(2, 0, 4), zeros(2, 3, 4), zeros(2, 3, 4))).shape, [2, 0, 4]);
  const { out, lse } = await fw.attention(zeros(1, 3, 4), zeros(1, 0, 4), zeros(1, 0, 2), { returnLse: true });
  assert.deepEqual([...out.data, ...lse.data], [0, 0, 0, 0, 0, 0, -Infinity, -Infinity, -Infinity]);
});

test("a score of zero is never negative", async () => {
  for (const metric of ["cosine", "dot", "l2"]) {
    const { scores } = await fw.topK(array([-0, 0], 1, 2), zeros(3, 2), 3, { metric });
    assert.deepEqual([...scores.data], [0, 0, 0], metric);
  }
});

test("workers and the calling thread get the same bytes, on any schedule", async () => {
  const numbers = (...shape) => {
    const x = zeros(...shape);
    x.data.forEach((_, i) => (x.data[i] = Math.sin(i * i)));
    return x;
  };
  const several = await load({ threads: 3, variant: fw.variant });
  assert.equal(several.threads, 3);
  const corpus = numbers(5000, 150);
  for (const [name, ...operands] of [
    ["attention", numbers(2, 4, 260, 40), numbers(2, 2, 700, 40), numbers(2, 2, 700, 24), { causal: "bottom_right" }],
    ["attention", numbers(3, 2, 40), numbers(1, 6000, 40), numbers(1, 6000, 40)],
    ["attention", numbers(2, 3, 2, 40), numbers(2, 1, 6000, 40), numbers(2, 1, 6000, 40), { kvLengths: [6000, 9] }],
    ["matmul", numbers(300, 400), numbers(400, 500)],
  ]) {
    const results = await Promise.all([fw, several].map(async (one) => fw.digest(await one[name](...operands))));
    assert.equal(results[0], results[1], name);
  }
  for (const metric of ["cosine", "dot", "l2"]) {
    const [one, many] = await Promise.all([fw, several].map((x) => x.topK(numbers(3, 150), corpus, 20, { metric })));
    assert.deepEqual(one, many);
    const found = await Promise.all(
      [fw, several].map(async (x) => {
        const index = new x.FlatIndex(150, { metric });
        await index.add(corpus);
        const result = await index.search(numbers(3, 150), 20);
        await index.close();
        return result;
      }),
    );
    assert.deepEqual(found[0], found[1]);
    assert.deepEqual(found[0].ids.data, [...one.indices.data]);
  }
  await several.close();
});

test("every variant is loaded by name, and its digest is the manifest's", async () => {
  for (const variant of VARIANTS.slice(VARIANTS.indexOf(fw.variant))) {
    const one = await load({ variant });
    assert.equal(one.variant, variant);
    assert.match(one.moduleSha256, /^[0-9a-f]{64}$/);
    await one.close();
  }
});
