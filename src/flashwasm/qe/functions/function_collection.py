"""Collection of a program's functions by parsing its files."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from flashwasm.errors import ShapeError
from flashwasm.qe.scoring.word_extraction import extract_words
from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES
from flashwasm.qe.suites.source_files import Skipped, absolute_path, walk_program_files
from flashwasm.qe.suites.syntax_trees import (
    DEFINITION_NODES,
    FUNCTION_NODES,
    decoded_source,
    parse_source,
)
from flashwasm.storage.file_paths import checked_path

__all__ = [
    "FunctionSource",
    "collect_functions",
    "program_files",
    "some_descriptions",
    "words_of_name",
]

# Number of descriptions to average the embeddings of. The mean hardly changes with more.
_DESCRIPTIONS = 200


@dataclass(frozen=True)
class FunctionSource:
    """A function or method of a program.

    Parameters
    ----------
    name : str
        Qualified name.
    path : pathlib.Path
        File that defines it.
    line : int
        Line of its ``def``, counted from 1.
    source : str
        Source without decorators.
    description : str
        First paragraph of its docstring; "" if it has none.
    """

    name: str
    path: Path
    line: int
    source: str = field(repr=False)
    description: str = ""


def program_files(path: str | Path, skipped: list[Skipped]) -> list[Path]:
    """Return the Python files below a path, or the file at the path, without test files.

    Folders that cannot be read are added to ``skipped``.
    """
    root = absolute_path(path)
    return list(walk_program_files(root, skipped)) if root.is_dir() else [root]


def collect_functions(
    path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> tuple[list[FunctionSource], list[Skipped]]:
    """Find the functions of a program by parsing its files, except test files.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder, or one file.
    progress : callable, optional
        Function to call with the number of files read so far and the number of files.

    Returns
    -------
    tuple of (list of FunctionSource, list of Skipped)
        The functions, and the files that could not be read.

    Raises
    ------
    ShapeError
        If there is no such file or folder.
    """
    if not checked_path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    skipped: list[Skipped] = []
    files = program_files(path, skipped)
    functions: list[FunctionSource] = []
    for done, file in enumerate(files):
        parsed = _parse(file)
        if isinstance(parsed, str):
            skipped.append(Skipped(file, parsed))
        else:
            functions.extend(_functions(file, *parsed))
        if progress is not None:
            progress(done + 1, len(files))
    return functions, skipped


def _parse(file: Path) -> tuple[ast.Module, list[str]] | str:
    """Return a file's syntax tree and lines, or the reason for not reading it."""
    try:
        if not file.is_file():
            return "not a regular file"
        if file.stat().st_size > LARGEST_SOURCE_BYTES:
            return f"larger than {LARGEST_SOURCE_BYTES >> 20} MiB"
        data = file.read_bytes()
        return parse_source(data), decoded_source(data).split("\n")
    except SyntaxError as error:
        return f"not Python: {error.msg}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"not Python: {error}"


def _functions(file: Path, tree: ast.Module, lines: list[str]) -> Iterator[FunctionSource]:
    """Yield the functions of a file, including those inside classes and other functions."""
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        node, scope = pending.pop()
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, DEFINITION_NODES):
                inner = f"{scope}{child.name}."
            if isinstance(child, FUNCTION_NODES):
                source = "\n".join(lines[child.lineno - 1 : child.end_lineno])
                description = (ast.get_docstring(child) or "").partition("\n\n")[0]
                name = f"{scope}{child.name}"
                yield FunctionSource(name, file, child.lineno, source, description)
            pending.append((child, inner))


def words_of_name(function: FunctionSource) -> str:
    """Return the words in a function's qualified name and in its module's name."""
    return extract_words(f"{function.name} {function.path.stem}")


def some_descriptions(functions: list[FunctionSource]) -> list[str]:
    """Return up to 200 descriptions, from docstrings spread evenly over the program."""
    found = [function.description for function in functions if function.description]
    return found[:: max(1, len(found) // _DESCRIPTIONS)][:_DESCRIPTIONS]
