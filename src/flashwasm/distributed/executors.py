"""The interface to executors: calls go out a few at a time, and lost ones go out again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple, Protocol

from flashwasm.errors import CapabilityError, DTypeError

__all__ = ["Call", "Workers", "results_in_order", "workers_of"]

# Calls whose arguments may be under way at once, so that a corpus larger than memory passes
# through. A part takes some tens of megabytes.
_AT_ONCE = 8
# Number of times that a call goes out before it counts as the reason for the loss of its workers.
_MOST_ATTEMPTS = 3


class Submitted(Protocol):
    """The future of a result."""

    def result(self) -> Any:
        """Wait for the result, and return it or raise the call's error."""


class Call(NamedTuple):
    """A call of a function by a worker.

    Arguments that are callable are called here, when the call goes out, and their result is sent.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Workers:
    """The workers of an executor of `concurrent.futures`, or of another one with its interface.

    Parameters
    ----------
    executor : object
        Object with a method ``submit``.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        threads = getattr(executor, "threads", None)
        # Number of threads of each worker's runtime. Only `LocalWorkers` says.
        self.threads = threads if isinstance(threads, int) else 1

    def send(self, call: Call) -> Submitted:
        """Hand a call to the executor."""
        arguments = [self.argument(x() if callable(x) else x) for x in call.arguments]
        return self._submit(call.function, arguments)

    def argument(self, value: Any) -> Any:
        """Return an argument as the executor sends it; a dask array is computed here."""
        return value.compute() if is_dask_array(value) else value

    def _submit(self, function: Callable[..., Any], arguments: list[Any]) -> Submitted:
        """Submit a call with arguments that the executor can send."""
        try:
            submitted: Submitted = self._executor.submit(function, *arguments)
        except BrokenExecutor as error:
            raise CapabilityError(
                "a worker process ended, and its executor takes no more work; "
                "flashwasm.distributed.LocalWorkers replaces such a process"
            ) from error
        return submitted


class DaskWorkers(Workers):
    """The workers of a ``dask.distributed.Client``, which replaces lost ones by itself."""

    def argument(self, value: Any) -> Any:
        """Return the future of a dask array, so that its chunks never leave the cluster."""
        return self._executor.compute(value) if is_dask_array(value) else value

    def _submit(self, function: Callable[..., Any], arguments: list[Any]) -> Submitted:
        """Submit a call under a new key, as dask would otherwise hash all arguments for one."""
        submitted: Submitted = self._executor.submit(function, *arguments, pure=False)
        return submitted


def workers_of(executor: Any) -> Workers:
    """Return the workers of an executor.

    Parameters
    ----------
    executor : object
        A pool of `concurrent.futures`, a ``dask.distributed.Client``, or an object with a method
        ``submit`` that returns futures.

    Raises
    ------
    DTypeError
        If it has no such method.
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        raise DTypeError(
            "executor: expected an object with a method submit, such as LocalWorkers or a "
            f"dask.distributed.Client, got {type(executor).__name__}"
        )
    of_dask = type(executor).__module__.partition(".")[0] == "distributed"
    return DaskWorkers(executor) if of_dask else Workers(executor)


def is_dask_array(value: object) -> bool:
    """Return True for an array of dask, without importing dask."""
    return type(value).__module__.startswith("dask.array")


def results_in_order(workers: Workers, calls: Iterable[Call]) -> Iterator[Any]:
    """Yield the result of each call in order, while the next ones are computed.

    A call whose worker was lost goes out again.

    Parameters
    ----------
    workers : Workers
        The workers.
    calls : iterable of Call
        The calls, each asked for when it is about to go out.

    Raises
    ------
    CapabilityError
        If the workers of one call were lost again and again, or no worker is left.
    """
    under_way: deque[tuple[Call, Submitted]] = deque()
    for call in calls:
        under_way.append((call, workers.send(call)))
        if len(under_way) >= _AT_ONCE:
            yield _result(workers, *under_way.popleft())
    while under_way:
        yield _result(workers, *under_way.popleft())


def _result(workers: Workers, call: Call, submitted: Submitted, attempt: int = 1) -> Any:
    """Return the result of a call, which goes out again if its worker is lost."""
    try:
        return submitted.result()
    except Exception as error:
        # dask.distributed raises an error of its own, after attempts of its own.
        killed = type(error).__name__ == "KilledWorker"
        if not killed and not isinstance(error, BrokenExecutor):
            raise
        if killed or attempt == _MOST_ATTEMPTS:
            raise CapabilityError(
                "a part was computed again and again, and each time its worker ended; it may "
                f"need more memory than a worker has ({error!s:.200})"
            ) from error
    return _result(workers, call, workers.send(call), attempt + 1)
