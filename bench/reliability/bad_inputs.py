"""Arguments that no operation accepts, in otherwise valid calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

import flashwasm as fw

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from numpy.typing import NDArray

    from bench.reliability.prepared_calls import PreparedCall

    Array = NDArray[Any]

__all__ = ["is_refused"]

_OPERANDS: tuple[Callable[[Array], Any], ...] = (
    lambda x: x.astype(object),
    lambda x: x.astype(complex) + 1j,
    lambda x: x.astype(str),
    lambda x: np.ma.masked_array(x, np.ones(x.shape, bool)),
    lambda x: x.astype("datetime64[s]"),
    lambda _: "an operand",
    lambda _: [[1.0], [1.0, 2.0]],
    lambda _: {"x": 1.0},
)
_OPTIONS: tuple[dict[str, Any], ...] = (
    {"timeout": -1.0},
    {"timeout": float("nan")},
    {"timeout": "soon"},
    {"timeout": [1, 2]},
    {"runtime": "default"},
    {"runtime": object()},
)


def is_refused(call: PreparedCall, runtime: fw.Runtime, random: Random) -> bool:
    """Call a function with one bad argument; return True if it raises a documented error.

    Parameters
    ----------
    call : PreparedCall
        The call to spoil.
    runtime : Runtime
        Runtime to use.
    random : random.Random
        Generator that draws the bad argument.
    """
    operands: list[Any] = list(call.inputs)
    options: dict[str, Any] = {"runtime": runtime}
    if random.random() < 0.3:
        options |= random.choice(_OPTIONS)
    else:
        at = random.randrange(len(operands))
        operands[at] = random.choice(_OPERANDS)(operands[at])
    try:
        call.function(*operands, **options)
    except (fw.ShapeError, fw.DTypeError):
        return True
    return False
