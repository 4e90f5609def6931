"""Names of the files in a model's folder, as sentence-transformers lays it out."""

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

# Loading a model needs the first three files, and reads the others if they are there.
REQUIRED_FILES = (CONFIG, WEIGHTS, TOKENIZER)
OPTIONAL_FILES = (POOLING, MODULES)
