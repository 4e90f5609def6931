"""The functions of a program, found by parsing."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from pathlib import Path

from flashwasm.errors import ShapeError
from flashwasm.qe.functions.file import FunctionSource, program_files
from flashwasm.qe.suites.sources import LARGEST_SOURCE
from flashwasm.qe.suites.suite import Skipped

__all__ = ["collect_functions"]


def collect_functions(
    path: str | Path, *, progress: Callable[[int, int], None] | None = None
) -> tuple[list[FunctionSource], list[Skipped]]:
    """Find the functions of a program by parsing, its tests left out.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder, or one file.
    progress : callable, optional
        Called with the number of files read and their total.
    """
    if not Path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    skipped: list[Skipped] = []
    files = program_files(path, skipped)
    functions: list[FunctionSource] = []
    for done, file in enumerate(files):
        reason = _read(file, functions)
        if reason:
            skipped.append(Skipped(file, reason))
        if progress is not None:
            progress(done + 1, len(files))
    return functions, skipped


def _read(file: Path, functions: list[FunctionSource]) -> str:
    """Add a file's functions; return why it could not be read."""
    try:
        if not file.is_file():
            return "not a regular file"
        if file.stat().st_size > LARGEST_SOURCE:
            return f"larger than {LARGEST_SOURCE >> 20} MiB"
        data = file.read_bytes()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(data)
        text = data.decode("utf-8-sig", "replace").splitlines()
    except SyntaxError as error:
        return f"not Python: {error.msg}"
    except OSError as error:
        return f"cannot be read: {error.strerror or error}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"not Python: {error}"
    pending: list[tuple[ast.AST, str]] = [(tree, "")]
    while pending:
        node, scope = pending.pop()
        for child in ast.iter_child_nodes(node):
            inner = scope
            if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
                inner = f"{scope}{child.name}."
                source = "\n".join(text[child.lineno - 1 : child.end_lineno])
                description = (ast.get_docstring(child) or "").partition("\n\n")[0]
                name = f"{scope}{child.name}"
                functions.append(FunctionSource(name, file, child.lineno, source, description))
            elif isinstance(child, ast.ClassDef):
                inner = f"{scope}{child.name}."
            pending.append((child, inner))
    return ""
