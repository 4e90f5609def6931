"""The options that all attention functions share, declared and documented once.

A function declares them as ``**options: Unpack[AttentionOptions]``, which type checkers and editors
understand. `shows_options` writes them into the function's signature and docstring, and `completed`
adds the defaults.
"""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypedDict, TypeVar

from flashwasm.keyword_hints import ATTENTION, unexpected

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray

    from flashwasm.backends.registry import BackendName
    from flashwasm.runtime.runtime import Runtime

    # Offsets of the diagonal are integers, one or an array of them. The type is not `ArrayLike`,
    # which accepts any string: a type checker could not find a misspelt "bottom_right".
    IntArray: TypeAlias = NDArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]]
    Offsets: TypeAlias = int | np.integer[Any] | IntArray
    Causal: TypeAlias = bool | np.bool_ | Literal["top_left", "bottom_right"] | Offsets
    Window: TypeAlias = Sequence[int | None]

Function = TypeVar("Function", bound="Callable[..., Any]")

_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY

# The entry of a docstring that `shows_options` replaces, including its indented lines.
_ENTRY_OF_OPTIONS = re.compile(r"^\*\*options : .*\n(?: .*\n)*", re.MULTILINE)


class SequenceOptions(TypedDict, total=False):
    """Options that `attention` and `attention_varlen` share.

    Attributes
    ----------
    causal : bool, str, int or array_like of int, default False
        False lets every query see all keys. With an integer offset, query i sees the keys up to i +
        offset. "top_left" is offset 0. "bottom_right" is the offset with which the last query sees
        all keys: Lk minus Lq, or ``kv_lengths`` minus Lq. An array has one offset for each leading
        index. True is offset 0 and requires Lq == Lk, because libraries disagree on its meaning if
        the lengths differ.
    scale : float, optional
        Number that the products of queries and keys are multiplied by. None means 1 / sqrt(D).
    window : (int, int), optional
        Number of keys that a query sees to the left and to the right of its diagonal. The diagonal
        of query i is key i + offset, with the offset of ``causal``, or 0 if ``causal`` is False.
        None or -1 means no limit on that side.
    softcap : float, optional
        Bound of the scores: each score s becomes softcap * tanh(s / softcap), before ALiBi and
        masks. None or 0 means no bound.
    alibi_slopes : array_like of float, shape (Hq,), optional
        ALiBi slope of each query head. The score of a key is reduced by the slope times the key's
        distance from the query's diagonal.
    sinks : array_like of float, shape (Hq,), optional
        One more logit for each query head. It takes part in the softmax but has no value.
    """

    causal: Causal
    scale: float | None
    window: Window | None
    softcap: float | None
    alibi_slopes: ArrayLike | None
    sinks: ArrayLike | None


class DropoutOptions(TypedDict, total=False):
    """Options of dropout.

    Attributes
    ----------
    dropout : float, default 0.0
        Probability of dropping a weight, from 0 to less than 1. The remaining weights are divided
        by 1 - dropout. Dropout does not change the log-sum-exp.
    seed : int, optional
        Seed of dropout, from 0 to 2**64 - 1. The choice of dropped weights depends only on the seed
        and on each weight's batch entry, head, query and key. None draws a seed from the operating
        system.
    """

    dropout: float
    seed: int | None


class ScoreOptions(SequenceOptions, total=False):
    """Options that decide the scores of arrays with a head axis.

    Attributes
    ----------
    mask : array_like of bool or float, optional
        Mask that broadcasts to (..., Hq, Lq, Lk). Booleans are True for each key that a query sees;
        floats are added to the scores.
    kv_lengths : array_like of int, shape (...,), optional
        Number of keys that are not padding, for each leading index. No query sees the keys after
        them. None means all keys.
    """

    mask: ArrayLike | None
    kv_lengths: ArrayLike | None


class PackedOptions(SequenceOptions, DropoutOptions, total=False):
    """Options of `attention_varlen`."""


class AttentionOptions(ScoreOptions, DropoutOptions, total=False):
    """Options of `attention`, its gradient and attention on a cache."""


class _Result(TypedDict, total=False):
    """The arguments for the output array and the timeout.

    The functions declare them one by one. This class saves the variants of `typing.overload` from
    repeating them.
    """

    out: NDArray[np.float32] | None
    timeout: float | None


class _Placed(_Result, total=False):
    """The same arguments, for a function that accepts a runtime."""

    runtime: Runtime | None


class AttentionCall(AttentionOptions, _Placed, total=False):
    """Keyword arguments of `attention`, without ``return_lse``."""

    backend: BackendName | None


class PackedCall(PackedOptions, _Placed, total=False):
    """Keyword arguments of `attention_varlen`, without ``return_lse``."""


class CacheCall(AttentionOptions, _Result, total=False):
    """Keyword arguments of attention on a cache, without ``return_lse``."""


# The options in the order in which a signature lists them, with their defaults.
DEFAULTS: AttentionOptions = {
    "causal": False,
    "mask": None,
    "scale": None,
    "window": None,
    "softcap": None,
    "alibi_slopes": None,
    "sinks": None,
    "dropout": 0.0,
    "seed": None,
    "kv_lengths": None,
}


def completed(options: Any, declared: type, function: Callable[..., Any]) -> AttentionOptions:
    """Return options with the defaults of those that are missing.

    Parameters
    ----------
    options : TypedDict
        The options that a function was given.
    declared : type
        The TypedDict of the options that it accepts.
    function : callable
        The function, for the error.

    Raises
    ------
    TypeError
        If the function does not accept one of the options.
    """
    for name in options.keys() - declared.__annotations__.keys():
        raise unexpected(function, name, ATTENTION)
    return {**DEFAULTS, **options}


def shows_options(declared: type) -> Callable[[Function], Function]:
    """Show each option of a function that declares ``**options``.

    The decorator returns the function itself. The docstring and the signature that `help` and
    `inspect.signature` show list each option in place of ``**options``.

    Parameters
    ----------
    declared : type
        The TypedDict of the options.
    """
    types = declared.__annotations__
    defaults = {name: value for name, value in DEFAULTS.items() if name in types}
    entries = _entries()

    def show(function: Function) -> Function:
        """Change the function's docstring and signature, and return the function."""
        signature = inspect.signature(function)
        *others, _ = signature.parameters.values()
        first = sum(x.kind is not _KEYWORD_ONLY for x in others)
        others[first:first] = [
            inspect.Parameter(
                name, _KEYWORD_ONLY, default=value, annotation=types[name].__forward_arg__
            )
            for name, value in defaults.items()
        ]
        vars(function)["__signature__"] = signature.replace(parameters=others)
        if function.__doc__:  # It is None under `python -OO`.
            shown = "".join(entries[name] for name in defaults)
            plain = inspect.cleandoc(function.__doc__)
            function.__doc__ = _ENTRY_OF_OPTIONS.sub(lambda _: shown, plain)
        return function

    return show


def _entries() -> dict[str, str]:
    """Return the numpydoc entry of each option, as the TypedDicts above document it."""
    entries: dict[str, str] = {}
    for declared in (SequenceOptions, DropoutOptions, ScoreOptions):
        lines = inspect.cleandoc(declared.__doc__ or "").partition("-\n")[2].splitlines()
        for line in lines:
            if not line.startswith(" "):
                name = line.partition(" : ")[0]
            entries[name] = entries.get(name, "") + line + "\n"
    return entries


if AttentionOptions.__doc__:  # It is None under `python -OO`.
    AttentionOptions.__doc__ += "\n\nAttributes\n----------\n" + "".join(_entries().values())
