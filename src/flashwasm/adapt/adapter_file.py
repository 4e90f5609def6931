"""Files of adapters: writing one, and reading one with checks of all that kernels rely on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from flashwasm.adapt.adapter import Progress
from flashwasm.adapt.block import padded
from flashwasm.adapt.samples import HEADER_FLOATS
from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.kernel_table import LORA_FEEDBACK, LORA_MAX_CANDIDATES, LORA_REGRESSION
from flashwasm.runtime.default_runtime import checked_runtime
from flashwasm.storage.file_format import Container
from flashwasm.storage.file_reading import read_container
from flashwasm.storage.file_writing import write_container

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from flashwasm.adapt.adapter import Adapter
    from flashwasm.runtime.runtime import Runtime

    Array = NDArray[Any]
    AnyAdapter = TypeVar("AnyAdapter", bound=Adapter)

_KIND = "lora-adapter"
# Names of the arguments. The adapter has attributes of the same names.
_SHAPE = ("in_dim", "out_dim")
_OPTIONS = (
    "rank",
    "alpha",
    "learning_rate",
    "optimizer",
    "weight_decay",
    "ewc_lambda",
    "ewc_samples",
    "seed",
)
_SAMPLES = "samples"
# Minimum and maximum of the integers at the start of a sample, the first five fields of
# `SampleHeader`: loss, candidates, adapted, metric and accepted.
_LEAST = np.array([0, 1, 0, 0, 0], np.uint32)
_MOST = np.array([LORA_FEEDBACK, LORA_MAX_CANDIDATES, 1, 1, 1], np.uint32)


def write_adapter(path: Path, adapter: Adapter) -> None:
    """Write an adapter's arguments and its state to a file."""
    parameters = {name: getattr(adapter, name) for name in (*_SHAPE, *_OPTIONS)}
    sections, progress = adapter.state()
    write_container(
        path, Container(_KIND, "", "float32", parameters | {"progress": progress}, sections)
    )


def read_adapter(kind: type[AnyAdapter], path: Path, runtime: Runtime | None) -> AnyAdapter:
    """Return the adapter in a file; raise CorruptFileError if there is none.

    Parameters
    ----------
    kind : type
        Class of the adapter to return.
    path : pathlib.Path
        Path of the file.
    runtime : Runtime or None
        Runtime that the adapter uses. None means the default runtime.
    """
    container = read_container(path, _KIND)
    parameters, where = dict(container.parameters), checked_runtime(runtime)
    try:
        progress = Progress(*parameters.pop("progress"))
        shape = [parameters.pop(name) for name in _SHAPE]
        if parameters.keys() != set(_OPTIONS):
            message = "the parameters are not those of an adapter"
            raise ShapeError(message)
        adapter = kind(*shape, **parameters, runtime=where)
        _check(container.sections, adapter, progress)
    except (KeyError, TypeError, ValueError) as error:
        message = f"{path}: the file does not contain an adapter: {error}"
        raise CorruptFileError(message) from None
    adapter.restore(container.sections, progress)
    return adapter


def _check(sections: dict[str, Array], adapter: Adapter, progress: Progress) -> None:
    """Raise ValueError if no adapter can have written these sections and this progress."""
    _check_progress(progress)
    seen = progress[1]
    expected = {"weights"}
    expected |= {"first", "second"} if adapter.optimizer == "adam" else set()
    expected |= {_SAMPLES} if adapter.ewc_lambda and seen else set()
    if adapter.ewc_lambda and "fisher" in sections:
        expected |= {"fisher", "anchor"}
    if sections.keys() != expected:
        message = f"sections {sorted(sections)}, expected {sorted(expected)}"
        raise ValueError(message)
    size = adapter.rank * (padded(adapter.in_dim) + padded(adapter.out_dim))
    for name in expected - {_SAMPLES}:
        if sections[name].dtype != np.float32 or sections[name].shape != (size,):
            message = f"section {name!r} of {sections[name].dtype} {sections[name].shape}"
            raise ValueError(message)
    if _SAMPLES in expected:
        _check_samples(sections[_SAMPLES], adapter, min(seen, adapter.ewc_samples))


def _check_progress(progress: Progress) -> None:
    """Raise ValueError if the counts of updates or the powers of Adam's factors are impossible."""
    updates, seen, *powers = progress
    if not all(type(n) is int and n >= 0 for n in (updates, seen)) or seen > updates:
        message = f"{updates!r} updates, {seen!r} of them since the last consolidation"
        raise ValueError(message)
    if not all(type(p) is float and 0 <= p <= 1 for p in powers):
        message = f"powers of {powers!r}"
        raise ValueError(message)


def _check_samples(words: Array, adapter: Adapter, count: int) -> None:
    """Raise ValueError if a kernel would read beyond a sample, or if its loss does not exist."""
    stride = padded(max(adapter.in_dim, adapter.out_dim))
    width = words.shape[1] - HEADER_FLOATS if words.ndim == 2 else 0
    whole = words.dtype == np.uint32 and len(words) == count and width and width % stride == 0
    if not whole:
        message = f"section 'samples' of {words.dtype} {words.shape}"
        raise ValueError(message)
    heads = words[:, : len(_LEAST)]
    # A regression has one candidate, the target, which is not adapted.
    possible = heads[:, 0] != LORA_REGRESSION
    possible |= (heads[:, 1] == 1) & (heads[:, 2] == 0)
    inside = (heads >= _LEAST).all() and (heads <= _MOST).all() and possible.all()
    if not inside or heads[:, 1].max() >= width // stride:
        message = "section 'samples' contains data that no update can have written"
        raise ValueError(message)
