"""The interface to executors: calls are sent a few at a time, and lost calls are sent again."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor
from typing import Any, NamedTuple, Protocol

from flashwasm.errors import CapabilityError, DTypeError

__all__ = ["Call", "Workers", "results_in_order", "workers_of"]

# Maximum number of calls in flight, so that a corpus may be larger than memory. The arguments of a
# call are tens of megabytes.
_AT_ONCE = 8
# Number of attempts, after which the call itself is considered the reason for the loss of its
# workers.
_MOST_ATTEMPTS = 3


class Submitted(Protocol):
    """The future of a result."""

    def result(self) -> Any:
        """Wait for the result, and return it or raise the call's error."""


class Call(NamedTuple):
    """A function call for a worker.

    A callable argument is evaluated in this process when the call is sent, and its result is sent.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]


class Workers:
    """The workers of a `concurrent.futures` executor, or of another executor with its interface.

    Parameters
    ----------
    executor : object
        Object with a method ``submit``.
    """

    def __init__(self, executor: Any) -> None:
        self._executor = executor
        threads = getattr(executor, "threads", None)
        # Number of threads of each worker's runtime. Only `LocalWorkers` has this attribute.
        self.threads = threads if isinstance(threads, int) else 1

    def send(self, call: Call) -> Submitted:
        """Submit a call to the executor."""
        arguments = [self.argument(x() if callable(x) else x) for x in call.arguments]
        return self._submit(call.function, arguments)

    def argument(self, value: Any) -> Any:
        """Return an argument in the form to send; a dask array is computed in this process."""
        return value.compute() if is_dask_array(value) else value

    def _submit(self, function: Callable[..., Any], arguments: list[Any]) -> Submitted:
        """Submit a call with arguments that the executor can send."""
        try:
            submitted: Submitted = self._executor.submit(function, *arguments)
        except BrokenExecutor as error:
            raise CapabilityError(
                "a worker process ended, and its executor accepts no more work; "
                "flashwasm.distributed.LocalWorkers replaces such a process"
            ) from error
        return submitted


class DaskWorkers(Workers):
    """The workers of a ``dask.distributed.Client``, which replaces lost workers itself."""

    def argument(self, value: Any) -> Any:
        """Return the future of a dask array, so that its chunks never leave the cluster."""
        return self._executor.compute(value) if is_dask_array(value) else value

    def _submit(self, function: Callable[..., Any], arguments: list[Any]) -> Submitted:
        """Submit a call with a new key, because dask would otherwise hash all arguments."""
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
        If the object has no such method.
    """
    if not callable(getattr(executor, "submit", None)) or isinstance(executor, type):
        raise DTypeError(
            "executor: expected an object with a method submit, such as LocalWorkers or a "
            f"dask.distributed.Client, got {type(executor).__name__}"
        )
    of_dask = type(executor).__module__.partition(".")[0] == "distributed"
    return DaskWorkers(executor) if of_dask else Workers(executor)


def is_dask_array(value: object) -> bool:
    """Return True for a dask array, without importing dask."""
    return type(value).__module__.startswith("dask.array")


def results_in_order(workers: Workers, calls: Iterable[Call]) -> Iterator[Any]:
    """Yield the result of each call in order, while workers compute the next calls.

    If a worker is lost, its call is sent again.

    Parameters
    ----------
    workers : Workers
        The workers.
    calls : iterable of Call
        The calls. Each is taken from the iterable just before it is sent.

    Raises
    ------
    CapabilityError
        If the workers of one call were lost several times, or if no worker is left.
    """
    under_way: deque[tuple[Call, Submitted]] = deque()
    for call in calls:
        under_way.append((call, workers.send(call)))
        if len(under_way) >= _AT_ONCE:
            yield _result(workers, *under_way.popleft())
    while under_way:
        yield _result(workers, *under_way.popleft())


def _result(workers: Workers, call: Call, submitted: Submitted, attempt: int = 1) -> Any:
    """Return the result of a call, and send the call again if its worker is lost."""
    try:
        return submitted.result()
    except Exception as error:
        # dask.distributed makes several attempts itself, and then raises its own error.
        killed = type(error).__name__ == "KilledWorker"
        if not killed and not isinstance(error, BrokenExecutor):
            raise
        if killed or attempt == _MOST_ATTEMPTS:
            raise CapabilityError(
                "a part was computed several times, and its worker ended each time; it may "
                f"need more memory than a worker has ({error!s:.200})"
            ) from error
    return _result(workers, call, workers.send(call), attempt + 1)
