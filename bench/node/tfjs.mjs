// TensorFlow.js with its WebAssembly backend. Tensors stay in the backend's memory, and its operations
// run immediately, on the calling thread.
import { createRequire } from "node:module";
import { join, sep } from "node:path";

// This is added to the scores that the mask hides. Softmax turns them into exact zeros.
const HIDDEN = -1e9;

async function load(modules) {
  const require = createRequire(join(modules, "from-here.js"));
  const tf = require("@tensorflow/tfjs");
  const { setThreadsCount, setWasmPaths } = require("@tensorflow/tfjs-backend-wasm");
  tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  setThreadsCount(1);
  setWasmPaths(join(modules, "@tensorflow", "tfjs-backend-wasm", "dist") + sep);
  if (!(await tf.setBackend("wasm"))) throw new Error("tfjs has no WebAssembly backend here");
  await tf.ready();
  return tf;
}

// The heads are computed one after another, because the batched product of this backend is ten times
// slower. A separate operation transposes the keys, because a product with a transposed factor is five
// times slower. The code scales the queries, because there are fewer of them than scores.
function attention(tf, inputs, { causal }) {
  const [heads, length, dim] = inputs[0].shape;
  const size = length * dim;
  const [q, k, v] = inputs.map(({ data }) =>
    Array.from({ length: heads }, (_, h) =>
      tf.tensor2d(data.slice(h * size, (h + 1) * size), [length, dim]),
    ),
  );
  const scale = tf.scalar(dim ** -0.5);
  let hidden;
  if (causal) {
    const mask = new Float32Array(length * length);
    for (let i = 0; i < length; i++) mask.fill(HIDDEN, i * length + i + 1, (i + 1) * length);
    hidden = tf.tensor2d(mask, [length, length]);
  }
  const head = (h) =>
    tf.tidy(() => {
      let scores = tf.matMul(tf.mul(q[h], scale), tf.transpose(k[h]));
      if (causal) scores = tf.add(scores, hidden);
      return tf.matMul(tf.softmax(scores, -1), v[h]);
    });
  return () => Array.from({ length: heads }, (_, h) => head(h));
}

function layerNorm(tf, [x, weight, bias]) {
  const eps = tf.scalar(1e-5);
  return () =>
    tf.tidy(() => {
      const centred = tf.sub(x, tf.mean(x, -1, true));
      const variance = tf.mean(tf.square(centred), -1, true);
      const unit = tf.mul(centred, tf.rsqrt(tf.add(variance, eps)));
      return [tf.add(tf.mul(unit, weight), bias)];
    });
}

export async function prepare(modules, { operation, options, inputs }) {
  const tf = await load(modules);
  const tensors = () => inputs.map(({ data, shape, dtype }) => tf.tensor(data, shape, dtype));
  const makers = {
    attention: () => attention(tf, inputs, options),
    layer_norm: () => layerNorm(tf, tensors()),
    matmul: () => {
      const [a, b] = tensors();
      return () => [tf.matMul(a, b)];
    },
    softmax: () => {
      const [x] = tensors();
      return () => [tf.softmax(x, -1)];
    },
    vecadd: () => {
      const [a, b] = tensors();
      return () => [tf.add(a, b)];
    },
    embedding: () => {
      const [ids, table] = tensors();
      return () => [tf.gather(table, ids)];
    },
  };
  return {
    run: makers[operation](),
    read: (results) => {
      const parts = results.map((tensor) => tensor.dataSync());
      const whole = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
      parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
      return whole;
    },
    release: (results) => tf.dispose(results),
  };
}
