"""The options that all attention functions share, declared and documented once.

A function takes them as ``**options: Unpack[AttentionOptions]``, from which type checkers and
editors know them. `shows_options` writes them into its signature and its docstring, and `completed`
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

    # Offsets of the diagonal are integers, one or an array of them. They are not `ArrayLike`, which
    # takes any string, so that a type checker finds a misspelt "bottom_right".
    IntArray: TypeAlias = NDArray[np.integer[Any]] | Sequence[int] | Sequence[Sequence[int]]
    Offsets: TypeAlias = int | np.integer[Any] | IntArray
    Causal: TypeAlias = bool | np.bool_ | Literal["top_left", "bottom_right"] | Offsets
    Window: TypeAlias = Sequence[int | None]

Function = TypeVar("Function", bound="Callable[..., Any]")

_KEYWORD_ONLY = inspect.Parameter.KEYWORD_ONLY

# The entry of a docstring that `shows_options` replaces, with the indented lines that follow it.
_ENTRY_OF_OPTIONS = re.compile(r"^\*\*options : .*\n(?: .*\n)*", re.MULTILINE)


class SequenceOptions(TypedDict, total=False):
    """Options that also hold for sequences that are packed one after another.

    Attributes
    ----------
    causal : bool, str, int or array_like of int, default False
        With an offset, query i sees the keys up to i + offset. "top_left" is offset 0,
        "bottom_right" is the number of keys that count minus Lq, so that the last query sees all of
        them. An array has one offset for each leading index. True is the offset 0 where Lq == Lk,
        and is refused where the lengths differ, because libraries disagree on its meaning there.
    scale : float, optional
        Factor of the scores. None means 1 / sqrt(D).
    window : (int, int), optional
        Number of keys that a query sees to the left and to the right of its diagonal. The diagonal
        of query i is key i + offset, with offset 0 where ``causal`` is False. None or -1 leaves a
        side open.
    softcap : float, optional
        Replaces each score s by softcap * tanh(s / softcap), before ALiBi and masks. None or 0
        leaves the scores as they are.
    alibi_slopes : array_like of float, shape (Hq,), optional
        Slope of each query head. Slope times the distance of a key from the query's diagonal is
        subtracted from the score.
    sinks : array_like of float, shape (Hq,), optional
        One more logit for each query head. It takes weight but has no value.
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
        Probability that a weight is dropped, from 0 to less than 1. The others are divided by
        1 - dropout. The log-sum-exp is that of all weights.
    seed : int, optional
        Seed of dropout, from 0 to 2**64 - 1. A weight is dropped or not by the seed and by its
        batch entry, head, query and key alone. None draws a seed from the operating system.
    """

    dropout: float
    seed: int | None


class ScoreOptions(SequenceOptions, total=False):
    """Options that decide the scores of arrays with a head axis.

    Attributes
    ----------
    mask : array_like of bool or float, optional
        Mask that broadcasts to (..., Hq, Lq, Lk). True lets a key take part; floats are added to
        the scores.
    kv_lengths : array_like of int, shape (...,), optional
        Number of keys that count for each leading index. None means all of them.
    """

    mask: ArrayLike | None
    kv_lengths: ArrayLike | None


class PackedOptions(SequenceOptions, DropoutOptions, total=False):
    """Options of `attention_varlen`."""


class AttentionOptions(ScoreOptions, DropoutOptions, total=False):
    """Options of `attention`, its gradient and attention on a cache."""


class _Result(TypedDict, total=False):
    """Arguments that say where a result goes, and how long its computation may take.

    The functions name them one by one. They stand here for `typing.overload`, whose variants would
    otherwise repeat them.
    """

    out: NDArray[np.float32] | None
    timeout: float | None


class _Placed(_Result, total=False):
    """The same, for a function that belongs to no runtime."""

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
        The TypedDict of those that it takes.
    function : callable
        The function, for the error.

    Raises
    ------
    TypeError
        If the function takes no such option.
    """
    for name in options.keys() - declared.__annotations__.keys():
        raise unexpected(function, name, ATTENTION)
    return {**DEFAULTS, **options}


def shows_options(declared: type) -> Callable[[Function], Function]:
    """Show each option of a function that takes them as ``**options``.

    The function itself is returned. Its docstring and its signature, as `help` and
    `inspect.signature` show them, name each option in place of ``**options``.

    Parameters
    ----------
    declared : type
        The TypedDict of the options.
    """
    types = declared.__annotations__
    defaults = {name: value for name, value in DEFAULTS.items() if name in types}
    entries = _entries()

    def show(function: Function) -> Function:
        """Change what the function shows, and return it."""
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
