"""BERT in float64, one text at a time, written from the paper; it never imports flashwasm."""

import math

import numpy as np

erf = np.vectorize(math.erf, otypes=[np.float64])


def exact_gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


def tanh_gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


class Oracle:
    """Hidden states and sentence vectors of a checkpoint: its tensors and its config.json."""

    def __init__(self, tensors, config):
        self.tensors = {
            name.removeprefix("bert."): np.asarray(tensor, np.float64)
            for name, tensor in tensors.items()
        }
        self.config = config
        self.gelu = exact_gelu if config["hidden_act"] == "gelu" else tanh_gelu

    def hidden(self, ids):
        """Return the last layer's hidden states (L, hidden) for the token ids (L,) of a text."""
        states = self.normalize(
            "embeddings.LayerNorm",
            self.tensors["embeddings.word_embeddings.weight"][ids]
            + self.tensors["embeddings.position_embeddings.weight"][np.arange(len(ids))]
            + self.tensors["embeddings.token_type_embeddings.weight"][0],
        )
        for number in range(self.config["num_hidden_layers"]):
            layer = f"encoder.layer.{number}"
            attended = self.dense(f"{layer}.attention.output.dense", self.attend(layer, states))
            states = self.normalize(f"{layer}.attention.output.LayerNorm", states + attended)
            inner = self.gelu(self.dense(f"{layer}.intermediate.dense", states))
            outer = self.dense(f"{layer}.output.dense", inner)
            states = self.normalize(f"{layer}.output.LayerNorm", states + outer)
        return states

    def attend(self, layer, states):
        q, k, v = (
            self.dense(f"{layer}.attention.self.{part}", states)
            for part in ("query", "key", "value")
        )
        size = self.config["hidden_size"] // self.config["num_attention_heads"]
        heads = []
        for start in range(0, q.shape[1], size):
            head = slice(start, start + size)
            weights = np.exp(q[:, head] @ k[:, head].T / math.sqrt(size))
            heads.append(weights / weights.sum(axis=1, keepdims=True) @ v[:, head])
        return np.concatenate(heads, axis=1)

    def dense(self, name, x):
        return x @ self.tensors[f"{name}.weight"].T + self.tensors[f"{name}.bias"]

    def normalize(self, name, x):
        centred = x - x.mean(axis=1, keepdims=True)
        variance = (centred**2).mean(axis=1, keepdims=True) + self.config["layer_norm_eps"]
        unit = centred / np.sqrt(variance)
        return unit * self.tensors[f"{name}.weight"] + self.tensors[f"{name}.bias"]

    def sentence(self, ids, pooling="mean"):
        hidden = self.hidden(ids)
        pooled = hidden.mean(axis=0) if pooling == "mean" else hidden[0]
        return pooled / np.linalg.norm(pooled)

    @property
    def tolerance(self):
        """Largest difference that float32 may cause in a component of a unit vector.

        Every layer has six steps, the embedding two. Each rounds sums of ``hidden`` terms, whose
        errors grow with the square root of their number.
        """
        steps = 2 + 6 * self.config["num_hidden_layers"]
        return steps * math.sqrt(self.config["hidden_size"]) * 2.0**-24
