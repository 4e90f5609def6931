"""A random BERT, small enough to create for each test, in the layout of a real model's folder."""

import json
import string

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

CONFIG = {
    "model_type": "bert",
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 72,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "layer_norm_eps": 1e-12,
    "hidden_act": "gelu",
}
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = ["test", "edge", "node", "graph", "add", "remove", "weight", "path", "def", "assert"]
LETTERS = [*string.ascii_lowercase, *string.digits]
VOCABULARY = [*SPECIAL, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


def tokenizer():
    """Return a WordPiece tokenizer that pads and truncates texts, like published ones."""
    vocabulary = {word: number for number, word in enumerate(VOCABULARY)}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))  # noqa: S106 - no password.
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    made.enable_truncation(8)
    made.enable_padding(length=8)
    return made


def tensors(config):
    """Return random weights by name."""
    rng = np.random.default_rng(0)
    width, inner = config["hidden_size"], config["intermediate_size"]

    def normal(*shape):
        return rng.normal(0, shape[-1] ** -0.5, shape).astype(np.float32)

    made = {
        "embeddings.word_embeddings.weight": normal(config["vocab_size"], width),
        "embeddings.position_embeddings.weight": normal(config["max_position_embeddings"], width),
        "embeddings.token_type_embeddings.weight": normal(config["type_vocab_size"], width),
    }
    dense, norms = {}, ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(config["num_hidden_layers"])):
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            dense[f"{layer}.attention.{part}"] = (width, width)
        dense[f"{layer}.intermediate.dense"] = (inner, width)
        dense[f"{layer}.output.dense"] = (width, inner)
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name, shape in dense.items():
        made |= {f"{name}.weight": normal(*shape), f"{name}.bias": normal(shape[0])}
    for name in norms:
        made |= {f"{name}.weight": 1 + normal(width), f"{name}.bias": normal(width)}
    return made


def write(folder, *, change_tensors=lambda made: made, pooling=None, **settings):
    """Write a model's folder; return its tensors and its configuration."""
    config = {**CONFIG, "vocab_size": len(VOCABULARY), **settings}
    made = change_tensors(tensors(config))
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(made, folder / "model.safetensors")
    tokenizer().save(str(folder / "tokenizer.json"))
    if pooling is not None:
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
    return made, config
