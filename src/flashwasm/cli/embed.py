"""``flashwasm embed``: embed texts as vectors."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np

from flashwasm.cli.completion import complete_path
from flashwasm.cli.embedding_options import (
    model_option,
    precision_option,
    runtime_for,
    threads_option,
    workers_options,
)
from flashwasm.cli.input import exists, read_stdin
from flashwasm.cli.options import json_option
from flashwasm.cli.output import echo_json, note, nothing_found
from flashwasm.cli.output_file import OutputFile
from flashwasm.cli.text_or_file import ends_like_a_file, files_near
from flashwasm.distributed.embedding import WorkersEncoder
from flashwasm.encoder import SentenceEncoder
from flashwasm.encoder.sentence_encoder import DEFAULT_MAX_LENGTH
from flashwasm.errors import DTypeError, ShapeError
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.summaries import counted

if TYPE_CHECKING:
    import numpy.typing as npt

    from flashwasm.encoder.bert import Precision

__all__ = ["embed"]

# A model reads only a few hundred tokens of a text, so a larger file is probably a mistake.
_MOST_BYTES = 64 << 20


@click.command()
@click.argument(
    "inputs", metavar="TEXT|FILE|-...", nargs=-1, required=True, shell_complete=complete_path
)
@click.option("--tokens", is_flag=True, help="Embed each token, not each text; not normalised.")
@click.option(
    "--output",
    "-o",
    metavar="F",
    type=OutputFile(),
    help="Write to this .npy file, or with --tokens to this .npz file, instead of stdout.",
)
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_LENGTH,
    show_default=True,
    help="Maximum number of tokens of a text; the rest of the text is cut off.",
)
@json_option
@model_option
@precision_option
@threads_option
@workers_options
def embed(
    inputs: tuple[str, ...],
    output: Path | None,
    max_length: int,
    model: str | None,
    precision: Precision,
    threads: int | None,
    executor: Any,
    *,
    tokens: bool,
    as_json: bool,
) -> None:
    """Embed texts as unit vectors.

    If an argument is the path of an existing file, that file is read as one text. The argument -
    reads stdin, where each line is a text. Any other argument is itself the text. The vectors are
    printed on stdout, one JSON array for each text. The .npz file of --tokens contains `tokens`,
    the token vectors of all texts in order, and `offsets`, the position in `tokens` at which each
    text begins.

    \b
    Example:
      flashwasm embed "add an item to the cart" README.md -o vectors.npy
    """
    suffix = ".npz" if tokens else ".npy"
    if output is not None and output.suffix != suffix:
        raise click.BadParameter(f"{output} does not end in {suffix}", param_hint="--output")
    named = [pair for argument in inputs for pair in _read(argument)]
    if not named:
        nothing_found("no text on stdin; expected a text on each line")
    if executor is not None:
        encoder: SentenceEncoder = WorkersEncoder(executor, model, precision=precision)
    else:
        encoder = SentenceEncoder.load(model, precision=precision, runtime=runtime_for(threads))
    run = encoder.encode_tokens if tokens else encoder.encode
    results = list(run([text for _, text in named], max_length=max_length, progress=True))
    about = {
        "model": encoder.name,
        "digest": encoder.digest,
        "precision": encoder.precision,
        "dim": encoder.dim,
    }
    if output is not None:
        write_atomically(output, [_numpy_file(results, tokens=tokens)])
        note(
            f"wrote the embeddings of {counted(len(results), 'texts')}, "
            f"of dimension {encoder.dim}, to {output}"
        )
        if as_json:
            echo_json({**about, "texts": [name for name, _ in named], "output": str(output)})
    elif as_json:
        echo_json(
            {
                **about,
                "embeddings": [
                    {"text": name, "embedding": _numbers(result)}
                    for (name, _), result in zip(named, results, strict=True)
                ],
            },
            # With indentation, each component of a vector would take a line of its own.
            indent=None,
        )
    else:
        for result in results:
            echo_json(_numbers(result), indent=None)


def _read(argument: str) -> list[tuple[str, str]]:
    """Return pairs of a name and a text for an argument."""
    if argument == "-":
        # Only newlines separate texts; str.splitlines would also split at form feeds and the like.
        lines = io.StringIO(_decode(read_stdin(), "stdin"), newline=None)
        return [(line.rstrip("\n"), line.rstrip("\n")) for line in lines]
    path = Path(argument)
    # An empty argument is a text, because the path "" would mean the working folder.
    if argument and exists(path):
        if path.is_dir():
            raise ShapeError(f"{argument} is a folder; expected texts or files")
        if (size := path.stat().st_size) > _MOST_BYTES:
            raise ShapeError(
                f"{argument} has {size} bytes; expected a text of at most {_MOST_BYTES}"
            )
        return [(argument, _decode(path.read_bytes(), argument))]
    if ends_like_a_file(argument):
        near = f"; {files_near(argument)}".removesuffix("; ")
        note(f"note: there is no file {argument}, so this name itself is the text{near}")
    return [(argument, argument)]


def _decode(data: bytes, name: str) -> str:
    """Return bytes as UTF-8 text, without a byte order mark."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DTypeError(f"{name} is not UTF-8 text: {error}; save it as UTF-8") from error


def _numbers(result: npt.NDArray[np.float32]) -> list[object]:
    """Return an array as nested lists, each number with the fewest digits that keep its float32."""
    if result.ndim > 1:
        return [_numbers(row) for row in result]
    return [float(str(number)) for number in result]


def _numpy_file(results: list[npt.NDArray[np.float32]], *, tokens: bool) -> memoryview:
    """Return the content of a .npy file of vectors, or of an .npz file of tokens."""
    file = io.BytesIO()
    if tokens:
        offsets = np.cumsum([0, *(len(result) for result in results)])
        np.savez(file, tokens=np.concatenate(results), offsets=offsets)
    else:
        np.save(file, np.stack(results))
    return file.getbuffer()
