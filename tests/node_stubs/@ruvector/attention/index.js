"use strict";

class FlashAttention {
  constructor(dim, blockSize) {
    if (!(dim > 0 && blockSize > 0)) throw new Error("sizes");
    this.dim = dim;
  }
  compute(query, keys, values) {
    if (!(query instanceof Float32Array && keys.length === values.length)) throw new Error("types");
    const scores = keys.map((key) => key.reduce((s, x, d) => s + x * query[d], 0) / Math.sqrt(this.dim));
    const greatest = Math.max(...scores);
    const weights = scores.map((score) => Math.exp(score - greatest));
    const sum = weights.reduce((s, w) => s + w, 0);
    const out = new Float32Array(this.dim);
    weights.forEach((w, j) => values[j].forEach((x, d) => { out[d] += (w / sum) * x; }));
    return out;
  }
}

module.exports = { FlashAttention };
