"""Options of the commands that embed texts: the model, the threads, and the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict, TypeVar

import click

from flashwasm.encoder.known_models import DEFAULT_MODEL
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.runtime.runtime import Runtime

__all__ = [
    "Embedding",
    "cache_option",
    "embedding_options",
    "model_option",
    "runtime_for",
    "threads_option",
]

F = TypeVar("F", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    metavar="NAME|DIR",
    help="Name of an installed model, or folder of a BERT-family model.  "
    f"[default: {DEFAULT_MODEL}]",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Number of threads that compute.  [default: the CPUs that this process may use]",
)
cache_option = click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")


class Embedding(TypedDict):
    """Keyword arguments with which the library's functions embed texts."""

    model: str | None
    runtime: Runtime
    cache: bool
    progress: bool


def embedding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--model``, ``--threads`` and ``--no-cache``, and pass all on as ``embedding``."""

    @model_option
    @threads_option
    @cache_option
    @wraps(command)
    def gathered(*, model: str | None, threads: int | None, no_cache: bool, **given: Any) -> None:
        """Call the command with the three options in one argument."""
        embedding = Embedding(
            model=model, runtime=runtime_for(threads), cache=not no_cache, progress=True
        )
        command(**given, embedding=embedding)

    return gathered


def runtime_for(threads: int | None) -> Runtime:
    """Return the default runtime, or a new one if a number of threads was given."""
    return default_runtime() if threads is None else Runtime(threads=threads)
