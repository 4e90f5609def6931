// The part of ONNX Runtime Web that bench/node/onnxruntime-web.mjs uses. It knows a model by the
// names that its bytes contain, and fails on the fused attention of more than 64 keys.

export const env = { wasm: {} };

export class Tensor {
  constructor(type, data, dims) {
    if (!{ float32: Float32Array, int32: Int32Array }[type]?.prototype.isPrototypeOf(data)) {
      throw new Error(`${type} of another array`);
    }
    Object.assign(this, { type, data, dims });
  }
}

function matmul(a, b) {
  const [[m, k], n] = [a.dims, b.dims[1]];
  return Float32Array.from({ length: m * n }, (_, i) => {
    let sum = 0;
    for (let l = 0; l < k; l++) sum += a.data[Math.floor(i / n) * k + l] * b.data[l * n + (i % n)];
    return sum;
  });
}

function rows(x, change) {
  const n = x.dims.at(-1);
  const out = Float32Array.from(x.data);
  for (let i = 0; i < out.length; i += n) change(out.subarray(i, i + n));
  return out;
}

function softmax(row) {
  const greatest = Math.max(...row);
  row.forEach((x, j) => { row[j] = Math.exp(x - greatest); });
  const sum = row.reduce((s, x) => s + x, 0);
  row.forEach((x, j) => { row[j] = x / sum; });
}

const operators = {
  MatMul: ({ x0, x1 }) => matmul(x0, x1),
  Add: ({ x0, x1 }) => x0.data.map((x, i) => x + x1.data[i]),
  Gather: ({ x0, x1 }) => {
    const n = x1.dims[1];
    return Float32Array.from({ length: x0.data.length * n }, (_, i) =>
      x1.data[x0.data[Math.floor(i / n)] * n + (i % n)]);
  },
  Softmax: ({ x0 }) => rows(x0, softmax),
  LayerNormalization: ({ x0, x1, x2 }) => rows(x0, (row) => {
    const mean = row.reduce((s, x) => s + x, 0) / row.length;
    const variance = row.reduce((s, x) => s + (x - mean) ** 2, 0) / row.length;
    row.forEach((x, j) => {
      row[j] = ((x - mean) / Math.sqrt(variance + 1e-5)) * x1.data[j] + x2.data[j];
    });
  }),
};

function attention({ x0, x1, x2 }, causal) {
  const [, heads, length, dim] = x0.dims;
  const out = new Float32Array(x0.data.length);
  for (let h = 0; h < heads; h++) {
    for (let i = 0; i < length; i++) {
      const at = (h * length + i) * dim;
      const weights = new Float32Array(causal ? i + 1 : length);
      weights.forEach((_, j) => {
        for (let d = 0; d < dim; d++) {
          weights[j] += (x0.data[at + d] * x1.data[(h * length + j) * dim + d]) / Math.sqrt(dim);
        }
      });
      softmax(weights);
      weights.forEach((w, j) => {
        for (let d = 0; d < dim; d++) out[at + d] += w * x2.data[(h * length + j) * dim + d];
      });
    }
  }
  return out;
}

export class InferenceSession {
  static async create(model, { executionProviders }) {
    if (env.wasm.numThreads !== 1 || executionProviders[0] !== "wasm") throw new Error("settings");
    const session = new InferenceSession();
    session.model = Buffer.from(model).toString("latin1");
    return session;
  }
  async run(feeds) {
    const has = (name) => this.model.includes(name);
    if (has("Attention")) {
      if (feeds.x0.dims[2] > 64) throw new Error("out of memory");
      // The attribute's value follows its name: field 3, a number.
      const causal = this.model[this.model.indexOf("is_causal") + "is_causal".length + 1] === "\x01";
      return { y: { data: attention(feeds, causal) } };
    }
    if (has("Transpose")) return { y: { data: attention(feeds, has("hidden")) } };
    const name = Object.keys(operators).find(has);
    return { y: { data: operators[name](feeds) } };
  }
}
