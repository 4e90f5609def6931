"""Reading a suite's Python files, and finding the files that they import."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING

from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES, file_digest
from flashwasm.qe.suites.outline_cache import OutlineCache
from flashwasm.qe.suites.syntax_trees import decoded_source

if TYPE_CHECKING:
    from flashwasm.qe.suites.module_outline import FunctionSpan, ModuleOutline

__all__ = ["ModuleReader", "ParsedModule"]

# Modules of the standard library that pytest imports before it reads a suite. An import of such a
# name never imports a file of the suite.
_IMPORTED_BY_PYTEST = {"unittest"}


# Modules are compared by identity, because a `ModuleReader` reads each file once.
@dataclass(frozen=True, eq=False)
class ParsedModule:
    """A Python file that was read.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.
    lines : list of str
        Lines of its source.
    outline : ModuleOutline
        Names that it binds.
    """

    path: Path
    lines: list[str]
    outline: ModuleOutline

    @cached_property
    def text(self) -> str:
        """Source of the file."""
        return "\n".join(self.lines)

    def source(self, span: FunctionSpan) -> str:
        """Return a function's source, dedented by the indentation of its first line."""
        text = "\n".join(self.lines[span.first - 1 : span.last])
        first = self.lines[span.first - 1]
        indentation = first[: len(first) - len(first.lstrip())]
        return text.removeprefix(indentation).replace(f"\n{indentation}", "\n")


class ModuleReader:
    """Reads the files of a suite, each once.

    Parameters
    ----------
    path : pathlib.Path
        Folder or file of the suite.
    root : pathlib.Path
        pytest's rootdir.
    roots : sequence of pathlib.Path
        Other folders for absolute imports, such as those of pytest's ``pythonpath``.
    cache : bool
        True to cache outlines in the user's cache folder.

    Attributes
    ----------
    digests : dict of pathlib.Path to str
        `file_digest` of each requested file at the time of reading.
    """

    def __init__(self, path: Path, root: Path, roots: Sequence[Path], *, cache: bool) -> None:
        self._outlines = OutlineCache(path, enabled=cache)
        self._root = root
        self._roots = [str(one) for one in roots]
        self._read: dict[Path, ParsedModule | str] = {}
        self._located: dict[tuple[str, str, tuple[str, ...]], Path | None] = {}
        self._starts: dict[Path, list[str]] = {}
        self.digests: dict[Path, str] = {}

    def read(self, path: Path) -> ParsedModule | str:
        """Return a file's module, or the reason for not reading it."""
        if path not in self._read:
            try:
                self._read[path] = self._parse(path)
            except SyntaxError as error:
                at = f" (line {error.lineno})" if error.lineno else ""
                self._read[path] = f"not Python: {error.msg}{at}"
            except OSError as error:
                self._read[path] = f"cannot be read: {error.strerror or error}"
            except (ValueError, LookupError) as error:
                self._read[path] = f"not Python: {error}"
            except (RecursionError, MemoryError):
                self._read[path] = "not Python: nested too deeply"
            if path not in self.digests:
                self.digests[path] = file_digest(path)
        return self._read[path]

    def save(self) -> None:
        """Write the outlines of the read files to the cache."""
        self._outlines.save()

    def locate(self, folder: Path, module: str, parts: tuple[str, ...] = ()) -> Path | None:
        """Return the file of a module imported by a file in a folder; None if there is none.

        Parameters
        ----------
        folder : pathlib.Path
            Folder of the importing file.
        module : str
            Module as written after ``from`` or ``import``, with leading dots if it is relative.
        parts : tuple of str, default ()
            Names of the subpackages and the submodule.
        """
        # Strings are compared faster than paths.
        key = (str(folder), module, parts)
        if key not in self._located:
            self._located[key] = self._find_module(folder, module, parts)
        return self._located[key]

    def _find_module(self, folder: Path, module: str, parts: tuple[str, ...]) -> Path | None:
        """Return the file of a module; see `locate`."""
        name = module.lstrip(".")
        level = len(module) - len(name)
        dotted = [part for part in name.split(".") if part] + list(parts)
        if level:
            # Each dot after the first goes up one folder.
            starts = [str(one) for one in (folder, *folder.parents)[level - 1 : level]]
        elif dotted and dotted[0] in _IMPORTED_BY_PYTEST:
            return None
        else:
            starts = self._absolute_starts(folder)
        for start in starts:
            # These are strings, because pathlib would be too slow for a check that runs so often.
            stem = "/".join([start, *dotted])
            for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
                if os.path.isfile(candidate):  # noqa: PTH113 - as said above.
                    return Path(candidate)
        return None

    def _absolute_starts(self, folder: Path) -> list[str]:
        """Return the folders in which absolute imports of a file in a folder are looked up.

        Folders inside a package are not among them. pytest adds the first folder above a test file
        that is not a package to Python's path.
        """
        if folder not in self._starts:
            above = list(_no_packages(folder))
            # Above the rootdir, only the folder that contains the file's package is used.
            inside = [one for one in above[1:] if one.is_relative_to(self._root)]
            starts = [str(one) for one in (*above[:1], *inside)]
            self._starts[folder] = list(dict.fromkeys([*starts, *self._roots]))
        return self._starts[folder]

    def _parse(self, path: Path) -> ParsedModule:
        """Read a file, or raise an error with the reason for not reading it."""
        try:
            status = path.stat()
        except FileNotFoundError:
            raise ValueError("a link to nothing") from None
        # Opening a named pipe would wait until somebody writes to it.
        if not S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if (size := status.st_size) > LARGEST_SOURCE_BYTES:
            raise ValueError(f"{size} bytes, more than the {LARGEST_SOURCE_BYTES} that are read")
        data = path.read_bytes()
        digest = self.digests[path] = hashlib.sha256(data).hexdigest()
        text = decoded_source(data)
        return ParsedModule(path, text.split("\n"), self._outlines.outline(digest, text))


def _no_packages(folder: Path) -> Iterator[Path]:
    """Yield a folder and its parents, except packages."""
    for one in (folder, *folder.parents):
        if not (one / "__init__.py").is_file():
            yield one
