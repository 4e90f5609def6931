"""Options of the commands that embed texts: model, precision, threads, workers and cache."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypedDict, TypeVar, get_args

import click

from flashwasm.cli.completion import complete_model
from flashwasm.distributed.dask_cluster import connected
from flashwasm.distributed.embedding import WorkersEncoder
from flashwasm.distributed.local_workers import MOST_WORKERS, LocalWorkers
from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder.bert import Precision
from flashwasm.encoder.known_models import DEFAULT_MODEL
from flashwasm.errors import CapabilityError
from flashwasm.host.workers import MOST_THREADS
from flashwasm.runtime.default_runtime import default_runtime
from flashwasm.runtime.runtime import Runtime

__all__ = [
    "Embedding",
    "cache_option",
    "distributed_embedding_options",
    "embedding_options",
    "model_option",
    "precision_option",
    "runtime_for",
    "threads_option",
    "workers_options",
]

F = TypeVar("F", bound=Callable[..., Any])

model_option = click.option(
    "--model",
    metavar="NAME|DIR",
    shell_complete=complete_model,
    help="Name of an installed model, or folder of a BERT-family model.  "
    f"[default: {DEFAULT_MODEL}]",
)
precision_option = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="float32",
    show_default=True,
    help="Number format of the model's matrix products: int8 is faster, and its embeddings differ "
    "a little.",
)
threads_option = click.option(
    "--threads",
    type=click.IntRange(1, MOST_THREADS),
    help="Number of compute threads.  [default: the CPUs that this process may use]",
)
cache_option = click.option("--no-cache", is_flag=True, help="Neither read nor write the cache.")


class Embedding(TypedDict):
    """Keyword arguments with which the library's functions embed texts."""

    model: str | SentenceEncoder | None
    runtime: Runtime
    cache: bool
    progress: bool


def workers_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add ``--workers`` and ``--cluster``, and pass ``executor``, or None, to the command."""

    @click.option(
        "--workers",
        type=click.IntRange(1, MOST_WORKERS),
        help="Embed in this number of processes on this machine.",
    )
    @click.option(
        "--cluster",
        metavar="ADDRESS",
        help="Embed on the cluster of this dask scheduler, such as tcp://host:8786.",
    )
    @wraps(command)
    def gathered(*, workers: int | None, cluster: str | None, **given: Any) -> None:
        """Call the command with the executor of these options, and close the executor after it."""
        if workers is not None and cluster is not None:
            raise click.UsageError("--workers and --cluster exclude each other")
        context = click.get_current_context()
        executor: Any = None
        if workers is not None:
            executor = context.with_resource(LocalWorkers(workers, threads=given.get("threads")))
        elif cluster is not None:
            executor = context.with_resource(connected(cluster))
        command(**given, executor=executor)

    return gathered


def distributed_embedding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of `embedding_options` and `workers_options`; pass them as ``embedding``."""

    @wraps(command)
    def gathered(*, executor: Any, embedding: Embedding, **given: Any) -> None:
        """Call the command with an encoder that uses the workers, if there are any."""
        if executor is not None:
            embedding["model"] = _encoder(executor, embedding["model"])
        command(**given, embedding=embedding)

    return workers_options(embedding_options(gathered))


def _encoder(executor: Any, model: str | SentenceEncoder | None) -> str | SentenceEncoder | None:
    """Return an encoder that uses workers; None if no model is named and none is installed."""
    name = model.folder if isinstance(model, SentenceEncoder) else model
    precision = model.precision if isinstance(model, SentenceEncoder) else "float32"
    try:
        return WorkersEncoder(executor, name, precision=precision)
    except CapabilityError:
        if model is None:
            return None
        raise


def embedding_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options for embedding texts, and pass them to the command as ``embedding``."""

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
    """Return the default runtime, or a new one if the number of threads is given."""
    return default_runtime() if threads is None else Runtime(threads=threads)
