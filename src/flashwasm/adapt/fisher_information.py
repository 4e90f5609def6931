"""Fisher information of an adapter's weights, which tells how much each of them matters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from flashwasm.errors import ShapeError
from flashwasm.kernel_table import LORA_FISHER

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from flashwasm.adapt.weights import Weights
    from flashwasm.runtime.launch import Launch

    Array = NDArray[Any]

# Maximum second derivative of the penalty. Its square must be finite in float32.
_STRONGEST = 1e15


def fisher_information(
    launch: Launch, weights: Weights, samples: Sequence[int], strength: float
) -> Array:
    """Return the diagonal of the Fisher information, which is valid until the launch ends.

    Parameters
    ----------
    launch : Launch
        Launch that has begun.
    weights : Weights
        Weights of the adapter.
    samples : sequence of int
        Addresses of the stored samples, at least one.
    strength : float
        Factor of the penalty that is made of the result.

    Raises
    ------
    ShapeError
        If the penalty would be too large for float32.
    DeadlineExceeded, Cancelled
    """
    at, fisher = launch.scratch(weights.shape)
    fisher[:] = 0
    for sample in samples:
        launch.run_once(LORA_FISHER, (weights.address, sample, at, 1 / len(samples)))
    if not fisher.max() * strength < _STRONGEST:
        message = (
            "ewc_lambda: expected a penalty of moderate size, got "
            f"{strength} times Fisher information of {fisher.max():g}"
        )
        raise ShapeError(message)
    return fisher
