"""The encoder on texts of mixed length, compared with other runtimes on the same weights."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.checkpoint import MAX_LENGTH, Checkpoint
from bench.peers.node import OnnxRuntimeWeb
from bench.peers.onnx_runtime import OnnxRuntime
from bench.peers.openvino import OpenVino
from bench.peers.padded_bert import (
    BATCH_TOKENS,
    contender,
    in_node,
    onnx_float32,
    onnx_int8,
    openvino_int8,
)
from bench.peers.peer import Contender
from bench.peers.runner import OURS, Measurement, failed, timed
from flashwasm.benchmarks.expectation import WrongResultError
from flashwasm.benchmarks.timing import Effort, timer
from flashwasm.encoder import SentenceEncoder
from flashwasm.runtime.runtime import Runtime
from flashwasm.summaries import number_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bench.peers.padded_bert import Model

    Array = NDArray[Any]

TEXTS = 256
_LONGEST = 200
_CHECKED = 8
# Six layers in float32 give unit vectors, whose components are about 0.05.
_TOLERANCE = 2e-5
# The cosine of a vector by 8-bit codes with the exact one. The quality of searches is measured by
# `python -m bench quality --precision int8`.
_LEAST_COSINE = 0.98
_INT8 = " int8"
OURS_INT8 = f"{OURS}{_INT8}"
_EFFORT = Effort(seconds=10.0, least_rounds=3, most_rounds=20)
_WORDS = (
    "test the graph node edge remove add weight path value returns error when given empty list "
    "number of items after closing file with wrong name twice and checks nothing lost"
)


def mixed_texts(count: int = TEXTS) -> list[str]:
    """Return the same texts in every call: three to two hundred words, most of them short.

    Parameters
    ----------
    count : int
        Number of texts.
    """
    rng = np.random.default_rng(0)
    words = _WORDS.split()
    lengths = np.exp(rng.uniform(np.log(3), np.log(_LONGEST), count)).astype(int)
    return [" ".join(rng.choice(words, length)) for length in lengths]


def run_encoder(peers: list[str], threads: int, effort: Effort = _EFFORT) -> Measurement:
    """Measure the installed model, in float32 and by 8-bit codes.

    Results are compared with a model in float64. In float32 the largest difference must not exceed
    2e-5. With codes, the cosine of each text's vector with the exact one must be at least 0.98.

    Parameters
    ----------
    peers : list of str
        Names of the peers that are installed.
    threads : int
        Threads of each contender.
    effort : Effort
        Limits of how long to measure.

    Raises
    ------
    CapabilityError
        If no model is installed, or a package that it needs is missing.
    WrongResultError
        If the encoder's result differs from the oracle's.
    """
    texts = mixed_texts()
    with ExitStack() as stack:
        runtime = stack.enter_context(Runtime(threads))
        encoder = SentenceEncoder.load(runtime=runtime)
        checkpoint = Checkpoint(encoder.folder)
        expected = checkpoint.expected(texts[:_CHECKED])
        contenders = {OURS: _ours(encoder, texts)}
        codes = SentenceEncoder.load(runtime=runtime, precision="int8")
        contenders[OURS_INT8] = _ours(codes, texts)
        failures: dict[str, str] = {}
        for name, make in _others(checkpoint, texts, threads).items():
            if name.removesuffix(_INT8) in peers:
                try:
                    contenders[name] = make()
                    stack.callback(contenders[name].close)
                except Exception as error:  # noqa: BLE001 - any error of a peer is reported.
                    failures[name] = failed(error)
        errors = {}
        for name, one in contenders.items():
            errors[name], wrong = checked(name, one.result()[:_CHECKED], expected)
            if wrong:
                failures[name] = f"wrong: {wrong}, not timed"
        for name in (OURS, OURS_INT8):
            if name in failures:
                raise WrongResultError(f"encoder, {name}: {failures[name]}")
        right = {name: c for name, c in contenders.items() if name not in failures}
        # `timed` divides rates by 1e9, because most count floating-point operations.
        subject = ("encoder", number_of(len(texts), "texts"), "texts/s")
        return timed(subject, len(texts) * 1e9, right, errors, failures, effort)


def _ours(encoder: SentenceEncoder, texts: list[str]) -> Contender:
    """Return the package's encoder as a contender."""
    run = partial(encoder.encode, texts, max_length=MAX_LENGTH, batch_tokens=BATCH_TOKENS)
    return Contender(run, timer(run))


def _others(
    checkpoint: Checkpoint, texts: list[str], threads: int
) -> dict[str, Callable[[], Contender]]:
    """Return functions that prepare the peers' contenders, by the name of the contender."""

    def made(build: Callable[[Checkpoint, int], Model], note: str) -> Callable[[], Contender]:
        return lambda: contender(checkpoint, build(checkpoint, threads), texts, note)

    return {
        OnnxRuntime.name: made(onnx_float32, "fused operators, padded batches"),
        f"{OnnxRuntime.name}{_INT8}": made(onnx_int8, "quantize_dynamic of the same"),
        f"{OpenVino.name}{_INT8}": made(openvino_int8, "weights by column, rows in each call"),
        OnnxRuntimeWeb.name: lambda: in_node(checkpoint, texts),
    }


def checked(name: str, found: Array, expected: Array) -> tuple[float, str]:
    """Return the largest error of vectors, and a description of the fault, or "" if there is none.

    Parameters
    ----------
    name : str
        Name of the contender, which ends in "int8" if it computes by 8-bit codes.
    found, expected : numpy.ndarray, shape (texts, dim)
        Its unit vectors, and the exact ones.
    """
    error = float(np.abs(found - expected).max())
    if not name.endswith(_INT8):
        return error, "" if error <= _TOLERANCE else f"error {error:.1e}"
    cosine = float((found * expected).sum(axis=1).min())
    return error, "" if cosine >= _LEAST_COSINE else f"cosine {cosine:.4f}"
