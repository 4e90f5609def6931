"""`python -m bench backends`: comparison of hybrid with each backend that it chooses from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

import flashwasm as fw
from flashwasm.backends.registry import OTHER_BACKENDS, SANDBOX, backend_named
from flashwasm.benchmarks.report import markdown_table
from flashwasm.benchmarks.timing import Effort, interleaved, timer
from flashwasm.errors import CapabilityError
from flashwasm.summaries import counted
from flashwasm.text_table import TextTable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["BackendTimes", "Report", "report", "run_backends"]

# Limits: hybrid's time over that of the best single backend, hybrid's time over that of the
# sandbox in every case, and the share of cases that must meet the first limit.
NEAR_BEST, NEAR_SANDBOX, SHARE = 1.10, 1.05, 0.9

# Each operation: options, and the shapes of its operands.
ATTENTION: tuple[tuple[dict[str, Any], tuple[tuple[int, ...], ...]], ...] = (
    ({}, ((2, 64, 32),) * 3),
    ({}, ((12, 512, 64),) * 3),
    ({"causal": True}, ((12, 512, 64),) * 3),
    ({}, ((12, 1, 64), (12, 2048, 64), (12, 2048, 64))),
    ({"causal": True, "window": (128, 0)}, ((8, 1024, 64), (2, 1024, 64), (2, 1024, 64))),
    ({"softcap": 20.0, "return_lse": True}, ((4, 256, 64),) * 3),
)
OTHERS: tuple[tuple[str, tuple[tuple[int, ...], ...], tuple[int, ...]], ...] = (
    ("matmul", ((64, 64), (64, 64)), ()),
    ("matmul", ((256, 256), (256, 256)), ()),
    ("matmul", ((512, 384), (384, 1536)), ()),
    ("matmul", ((1, 768), (768, 768)), ()),
    ("matmul", ((64, 32, 32), (64, 32, 32)), ()),
    ("softmax", ((32, 128),), ()),
    ("softmax", ((512, 512),), ()),
    ("softmax", ((4, 50_000),), ()),
    ("layer_norm", ((16, 384), (384,), (384,)), ()),
    ("layer_norm", ((512, 384), (384,), (384,)), ()),
    ("cosine_top_k", ((1, 384), (500, 384)), (10,)),
    ("cosine_top_k", ((1, 384), (10_000, 384)), (10,)),
    ("cosine_top_k", ((64, 384), (10_000, 384)), (10,)),
)


@dataclass(frozen=True)
class BackendTimes:
    """Best times of one call on each backend, and on hybrid.

    Attributes
    ----------
    case : str
        The operation, the shapes and the place of its operands, and its options.
    seconds : dict of str to float
        Seconds of a call, by the name of the backend.
    noise : float
        Largest quotient of two measurements of the same single backend. 1 is no noise.
    """

    case: str
    seconds: dict[str, float]
    noise: float = 1.0

    @property
    def over_best(self) -> float:
        """Time of hybrid, divided by that of the best single backend."""
        return self.seconds["hybrid"] / min(s for b, s in self.seconds.items() if b != "hybrid")

    @property
    def over_sandbox(self) -> float:
        """Time of hybrid, divided by that of the sandbox."""
        return self.seconds["hybrid"] / self.seconds[SANDBOX]


class Report(NamedTuple):
    """The times of all cases, as JSON, as a table and as a sentence.

    Attributes
    ----------
    document : dict
        The times and the verdict, for JSON.
    table : TextTable
        The times, a row for each case.
    verdict : str
        A sentence that summarises all cases.
    met : bool
        True if the target is met.
    """

    document: dict[str, Any]
    table: TextTable
    verdict: str
    met: bool

    @property
    def markdown(self) -> str:
        """The table and the verdict in Markdown."""
        rows = [tuple(row) for row in self.table.rows]
        return markdown_table("Backends", self.table.headings, rows) + self.verdict + "\n"


def run_backends(threads: int, seconds: float) -> Iterator[BackendTimes]:
    """Measure each case on each backend and on hybrid, in turn.

    Each round goes twice over them, in two orders, so that hybrid comes after each backend as the
    backends come after one another. How far the two measurements of a backend differ is the noise.
    A backend that only imitates a device is measured alone, because hybrid never chooses it: its
    threads would disturb the call after it, and its long calls leave time for few rounds.

    Parameters
    ----------
    threads : int
        Threads of the runtime.
    seconds : float
        Seconds for each case.
    """
    others = [name for name in OTHER_BACKENDS if _runs_here(name)]
    alone = [name for name in others if backend_named(name).emulated]
    single = [SANDBOX, *(name for name in others if name not in alone)]
    effort = Effort(seconds=seconds, least_rounds=7)
    with fw.Runtime(threads) as rt:
        for name, call in _calls(rt):
            call(backend="hybrid")  # In its first such call, it measures the backends.
            found, noise = _in_turn(call, single, effort)
            for backend in alone:
                run = timer(partial(call, backend=backend))
                found[backend] = interleaved({backend: run}, Effort.of_rounds(3))[backend].best
            yield BackendTimes(name, found, noise)


def _in_turn(
    call: Callable[..., object], single: list[str], effort: Effort
) -> tuple[dict[str, float], float]:
    """Return the best seconds of a call on single backends and hybrid, and the noise."""
    first, second = [*single, "hybrid"], [*reversed(single), "hybrid"]
    timers = {f"{backend} 1": timer(partial(call, backend=backend)) for backend in first}
    timers |= {f"{backend} 2": timer(partial(call, backend=backend)) for backend in second}
    times = {key: taken.best for key, taken in interleaved(timers, effort).items()}
    pairs = {backend: (times[f"{backend} 1"], times[f"{backend} 2"]) for backend in first}
    noise = max(max(pairs[backend]) / min(pairs[backend]) for backend in single)
    return {backend: min(pair) for backend, pair in pairs.items()}, noise


def report(found: Sequence[BackendTimes]) -> Report:
    """Return the report of some cases."""
    near = sum(times.over_best <= NEAR_BEST for times in found)
    worst = max(times.over_sandbox for times in found)
    met = near >= SHARE * len(found) and worst <= NEAR_SANDBOX
    noise = max(times.noise for times in found)
    names = list(found[0].seconds)
    headings = ("case", *(f"{name} ms" for name in names), "of best", "of sandbox", "noise")
    rows = [
        (
            times.case,
            *(f"{1e3 * times.seconds[name]:.4g}" for name in names),
            f"{times.over_best:.2f}",
            f"{times.over_sandbox:.2f}",
            f"{times.noise:.2f}",
        )
        for times in found
    ]
    verdict = (
        f"hybrid is within 10 % of the best backend in {near} of "
        f"{counted(len(found), 'cases')}, and takes "
        f"{worst:.2f} of the sandbox's time at most; target {'met' if met else 'missed'}; two "
        f"measurements of one backend differ by a factor of {noise:.2f} at most"
    )
    document = {"cases": [asdict(times) for times in found], "verdict": verdict, "met": met}
    return Report(document, TextTable(headings, rows, right=headings[1:]), verdict, met)


def _runs_here(name: str) -> bool:
    """Return True if a backend can run on this machine."""
    try:
        backend_named(name)
    except CapabilityError:
        return False
    return True


def _calls(rt: fw.Runtime) -> Iterator[tuple[str, Callable[..., object]]]:
    """Yield the name and the call of each case, on arrays in linear memory and outside."""
    rng = np.random.default_rng(0)
    table: list[tuple[str, tuple[tuple[int, ...], ...], tuple[int, ...], dict[str, Any]]]
    table = [("attention", shapes, (), options) for options, shapes in ATTENTION]
    table += [(operation, shapes, more, {}) for operation, shapes, more in OTHERS]
    for operation, shapes, more, options in table:
        arrays = [rng.standard_normal(shape, np.float32) for shape in shapes]
        sizes = " ".join("x".join(map(str, shape)) for shape in shapes)
        for resident in (True, False):
            given = [rt.asarray(x) for x in arrays] if resident else arrays
            words = [operation, sizes, *options, "resident" if resident else "copied"]
            call = partial(getattr(fw, operation), *given, *more, runtime=rt, **options)
            yield " ".join(words), call
