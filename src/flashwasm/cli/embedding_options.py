"""Options of the commands that embed texts: the model, its precision, threads and the cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict, TypeVar, get_args

import click

from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder.bert import Precision
from flashwasm.encoder.known_models import DEFAULT_MODEL
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.runtime.runtime import Runtime

__all__ = [
    "Embedding",
    "cache_option",
    "embedding_options",
    "model_option",
    "precision_option",
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
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Numbers in which the model's layers multiply: int8 is faster and embeds a little "
    "differently.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(min=1),
    help="Number of threads that compute.  [default: the CPUs that this process may use]",
)
cache_option = click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")


class Embedding(TypedDict):
    """Keyword arguments with which the library's functions embed texts."""

    model: str | SentenceEncoder | None
    runtime: Runtime
    cache: bool
    progress: bool


def embedding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of embedding texts, and pass all on as ``embedding``."""

    @model_option
    @precision_option
    @threads_option
    @cache_option
    @wraps(command)
    def gathered(
        *,
        model: str | None,
        precision: Precision,
        threads: int | None,
        no_cache: bool,
        **given: Any,
    ) -> None:
        """Call the command with these options in one argument."""
        runtime = runtime_for(threads)
        chosen: str | SentenceEncoder | None = model
        if precision != "float32":
            chosen = SentenceEncoder.load(model, precision=precision, runtime=runtime)
        embedding = Embedding(model=chosen, runtime=runtime, cache=not no_cache, progress=True)
        command(**given, embedding=embedding)

    return gathered


def runtime_for(threads: int | None) -> Runtime:
    """Return the default runtime, or a new one if a number of threads was given."""
    return default_runtime() if threads is None else Runtime(threads=threads)
