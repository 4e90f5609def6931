"""Settings in a model's folder: the sizes of its BERT, and the pooling of its tokens."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from flashwasm.encoder.model_files import MODULES, POOLING
from flashwasm.errors import CapabilityError

__all__ = ["BertConfig", "Pooling", "read_pooling"]

# Largest accepted settings file in bytes, about a hundred times the usual size.
_LARGEST_JSON = 1 << 20

T = TypeVar("T", dict[str, Any], list[Any])
Pooling = Literal["mean", "cls"]
Approximate = Literal["none", "tanh"]

# Names of GELU in config.json, and the formula for each. "none" is exact and computes the error
# function; "tanh" is an approximation.
_ACTIVATIONS: dict[str, Approximate] = {
    "gelu": "none",
    "gelu_python": "none",
    "gelu_new": "tanh",
    "gelu_pytorch_tanh": "tanh",
    "gelu_fast": "tanh",
}


@dataclass(frozen=True)
class BertConfig:
    """Sizes and options of a BERT encoder, as ``config.json`` names them.

    Parameters
    ----------
    hidden_size : int
        Number of components of a token's vector.
    num_hidden_layers : int
        Number of layers, each of them attention and a feed-forward network.
    num_attention_heads : int
        Number of attention heads, which divide ``hidden_size`` equally among them.
    intermediate_size : int
        Number of components inside the feed-forward network.
    vocab_size, max_position_embeddings, type_vocab_size : int
        Number of rows of the embedding table of words, of positions and of token types.
    layer_norm_eps : float
        Constant that layer normalisation adds to the variance.
    approximate : {"none", "tanh"}
        Formula of GELU; ``"none"`` is exact.
    """

    hidden_size: int
    num_hidden_layers: int
    num_attention_heads: int
    intermediate_size: int
    vocab_size: int
    max_position_embeddings: int
    type_vocab_size: int
    layer_norm_eps: float
    approximate: Approximate

    @classmethod
    def read(cls, path: Path) -> BertConfig:
        """Read ``config.json``.

        Parameters
        ----------
        path : pathlib.Path
            Path of the file to read.

        Returns
        -------
        BertConfig
            The settings, checked.

        Raises
        ------
        CapabilityError
            If the file is not JSON, or the model is not a BERT that the kernels can run. The
            message names the setting.
        """
        config = _read_json(path, dict)
        _require(path, config, "model_type", "bert")
        _require(path, config, "position_embedding_type", "absolute")
        _require(path, config, "is_decoder", expected=False)
        activation = str(config.get("hidden_act", "gelu"))
        if activation not in _ACTIVATIONS:
            raise CapabilityError(
                f"{path}: hidden_act is {activation!r:.200}; supported: {', '.join(_ACTIVATIONS)}"
            )
        hidden_size = _size(path, config, "hidden_size")
        heads = _size(path, config, "num_attention_heads")
        if hidden_size % heads:
            raise CapabilityError(
                f"{path}: hidden_size {hidden_size} is not a multiple of "
                f"num_attention_heads {heads}"
            )
        eps = config.get("layer_norm_eps", 1e-12)
        if not isinstance(eps, (int, float)) or not 0 < eps < 1:
            raise CapabilityError(
                f"{path}: layer_norm_eps is {eps!r:.200}; expected between 0 and 1"
            )
        return cls(
            hidden_size=hidden_size,
            num_hidden_layers=_size(path, config, "num_hidden_layers"),
            num_attention_heads=heads,
            intermediate_size=_size(path, config, "intermediate_size"),
            vocab_size=_size(path, config, "vocab_size"),
            max_position_embeddings=_size(path, config, "max_position_embeddings"),
            type_vocab_size=_size(path, config, "type_vocab_size"),
            layer_norm_eps=float(eps),
            approximate=_ACTIVATIONS[activation],
        )


def read_pooling(folder: Path) -> Pooling:
    """Return the pooling by which a model combines a text's tokens into one vector.

    Parameters
    ----------
    folder : pathlib.Path
        The model's folder.

    Returns
    -------
    {"mean", "cls"}
        ``"mean"`` is the mean over all tokens, and the default if the folder has no setting.
        ``"cls"`` is the vector of the first token.

    Raises
    ------
    CapabilityError
        If the model requires another pooling, or a further module such as a dense layer.
    """
    modules = folder / MODULES
    for module in _read_json(modules, list) if modules.is_file() else ():
        kind = str(module.get("type") if isinstance(module, dict) else module).rpartition(".")[2]
        if kind not in {"Transformer", "Pooling", "Normalize"}:
            raise CapabilityError(f"{modules}: module {kind!r:.200} is not supported")

    path = folder / POOLING
    if not path.is_file():
        return "mean"
    modes = [
        key.removeprefix("pooling_mode_")
        for key, used in _read_json(path, dict).items()
        if key.startswith("pooling_mode_") and used
    ]
    if modes == ["mean_tokens"]:
        return "mean"
    if modes == ["cls_token"]:
        return "cls"
    raise CapabilityError(
        f"{path}: pooling {' + '.join(modes) or 'none':.200} is not supported; "
        "supported: mean_tokens, cls_token"
    )


def _read_json(path: Path, kind: type[T]) -> T:
    """Return the object or the array in a JSON file."""
    if (size := path.stat().st_size) > _LARGEST_JSON:
        raise CapabilityError(f"{path} has {size} bytes; expected at most {_LARGEST_JSON}")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise CapabilityError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, kind):
        raise CapabilityError(f"{path} is not a JSON {'object' if kind is dict else 'array'}")
    return document


def _require(path: Path, config: dict[str, Any], key: str, expected: object) -> None:
    """Raise CapabilityError if a setting is present and the kernels do not support its value."""
    if (found := config.get(key, expected)) != expected:
        raise CapabilityError(f"{path}: {key} is {found!r:.200}; supported: {expected!r}")


def _size(path: Path, config: dict[str, Any], key: str) -> int:
    """Return a setting that must be a positive whole number."""
    value = config.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise CapabilityError(f"{path}: {key} is {value!r:.200}; expected a positive whole number")
    return value
