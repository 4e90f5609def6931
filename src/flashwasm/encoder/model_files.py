"""Names of the files in a model's folder, in the layout of sentence-transformers."""

from __future__ import annotations

__all__ = [
    "CONFIG",
    "MODULES",
    "OPTIONAL_FILES",
    "POOLING",
    "REQUIRED_FILES",
    "TOKENIZER",
    "WEIGHTS",
]

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
POOLING = "1_Pooling/config.json"
MODULES = "modules.json"

# A model can be loaded only if the first three files exist. The others are read if they exist.
REQUIRED_FILES = (CONFIG, WEIGHTS, TOKENIZER)
OPTIONAL_FILES = (POOLING, MODULES)
