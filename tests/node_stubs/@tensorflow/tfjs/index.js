// The part of TensorFlow.js that bench/node/tfjs.mjs uses; tensors of rank one and two.
"use strict";

let alive = 0;
let scopes = [];
let backend;
const flags = {};

class Tensor {
  constructor(data, shape) {
    if (backend !== "wasm") throw new Error("no backend is set");
    this.data = data;
    this.shape = shape;
    alive++;
    scopes.at(-1)?.push(this);
  }
  dataSync() {
    if (!this.data) throw new Error("tensor is disposed");
    return this.data;
  }
  dispose() {
    if (this.data) alive--;
    this.data = null;
  }
}

const make = (length, shape, at) => new Tensor(Float32Array.from({ length }, (_, i) => at(i)), shape);
const columns = (x) => x.shape.at(-1);

// Of two operands, the second may be a scalar, one row, or one column.
function pairwise(a, b, operate) {
  const [x, y, n] = [a.dataSync(), b.dataSync(), columns(a)];
  const column = b.shape.length === 2 && b.shape[1] === 1;
  return make(x.length, a.shape, (i) => operate(x[i], y[column ? Math.floor(i / n) : i % y.length]));
}

const tf = {
  env: () => ({ set: (name, value) => { flags[name] = value; } }),
  setBackend: async (name) => {
    const { threads, path } = require("@tensorflow/tfjs-backend-wasm").settings;
    if (flags.WASM_HAS_MULTITHREAD_SUPPORT !== false || threads !== 1) return false;
    if (!path?.endsWith("/tfjs-backend-wasm/dist/")) throw new Error(`no modules in ${path}`);
    backend = name;
    return name === "wasm";
  },
  ready: async () => {},
  tensor: (data, shape, dtype) => {
    if (data instanceof Int32Array !== (dtype === "int32")) throw new Error(`not ${dtype}`);
    return new Tensor(data, shape);
  },
  tensor2d: (data, shape) => new Tensor(data, shape),
  scalar: (value) => new Tensor(Float32Array.of(value), []),
  tidy: (run) => {
    scopes.push([]);
    const kept = run();
    for (const tensor of scopes.pop()) {
      if (![kept].flat().includes(tensor)) tensor.dispose();
    }
    return kept;
  },
  dispose: (tensors) => {
    tensors.forEach((tensor) => tensor.dispose());
    if (alive > 1000) throw new Error(`${alive} tensors are alive`);
  },
  add: (a, b) => pairwise(a, b, (x, y) => x + y),
  sub: (a, b) => pairwise(a, b, (x, y) => x - y),
  mul: (a, b) => pairwise(a, b, (x, y) => x * y),
  square: (a) => make(a.data.length, a.shape, (i) => a.data[i] ** 2),
  rsqrt: (a) => make(a.data.length, a.shape, (i) => 1 / Math.sqrt(a.data[i])),
  mean: (a, axis, keep) => {
    if (axis !== -1 || !keep) throw new Error("not here");
    const n = columns(a);
    const row = (i) => a.data.subarray(i * n, (i + 1) * n);
    return make(a.shape[0], [a.shape[0], 1], (i) => row(i).reduce((s, x) => s + x, 0) / n);
  },
  softmax: (a) => {
    const n = columns(a);
    const out = Float32Array.from(a.dataSync());
    for (let i = 0; i < out.length; i += n) {
      const row = out.subarray(i, i + n);
      const greatest = Math.max(...row);
      row.forEach((x, j) => { row[j] = Math.exp(x - greatest); });
      const sum = row.reduce((s, x) => s + x, 0);
      row.forEach((x, j) => { row[j] = x / sum; });
    }
    return new Tensor(out, a.shape);
  },
  matMul: (a, b, transposeA = false, transposeB = false) => {
    if (transposeA) throw new Error("not here");
    const [m, k] = a.shape;
    const n = transposeB ? b.shape[0] : b.shape[1];
    const at = transposeB ? (l, j) => b.data[j * k + l] : (l, j) => b.data[l * n + j];
    return make(m * n, [m, n], (i) => {
      let sum = 0;
      for (let l = 0; l < k; l++) sum += a.data[Math.floor(i / n) * k + l] * at(l, i % n);
      return sum;
    });
  },
  gather: (table, ids) => {
    const n = columns(table);
    const shape = [ids.data.length, n];
    return make(shape[0] * n, shape, (i) => table.data[ids.data[Math.floor(i / n)] * n + (i % n)]);
  },
};

module.exports = tf;
