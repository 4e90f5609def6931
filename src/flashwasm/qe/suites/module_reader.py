"""Reading of a suite's Python files, and following their imports of one another."""

from __future__ import annotations

import hashlib
import io
import os
import tokenize
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG

from flashwasm.qe.suites.file_digests import LARGEST_SOURCE_BYTES, file_digest
from flashwasm.qe.suites.module_outline import ClassOutline, FunctionSpan, ModuleOutline
from flashwasm.qe.suites.outline_cache import OutlineCache

__all__ = ["ModuleReader", "ParsedModule"]

# Largest number of imports that are followed from one module to the next, so that a circle ends.
_MAX_IMPORTS = 8


# Modules are compared by identity: a `ModuleReader` reads each file once.
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
        Tests, classes and imports that it defines.
    """

    path: Path
    lines: list[str]
    outline: ModuleOutline

    def source(self, span: FunctionSpan) -> str:
        """Return a function's source, without the indentation of its first line."""
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
    cache : bool
        True to keep outlines in the user's cache folder.

    Attributes
    ----------
    digests : dict of pathlib.Path to str
        `file_digest` of each file that was asked for, as it was when it was read.
    """

    def __init__(self, path: Path, *, cache: bool) -> None:
        self._outlines = OutlineCache(path, enabled=cache)
        self._read: dict[Path, ParsedModule | str] = {}
        self._located: dict[tuple[Path, str, tuple[str, ...]], Path | None] = {}
        self.digests: dict[Path, str] = {}

    def read(self, path: Path) -> ParsedModule | str:
        """Return a file's module, or the reason why it cannot be read."""
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

    def find(
        self, module: ParsedModule, name: str, depth: int = _MAX_IMPORTS
    ) -> tuple[ParsedModule, ClassOutline | FunctionSpan] | None:
        """Follow a dotted name in a module to the class or test function that it means.

        Parameters
        ----------
        module : ParsedModule
            Module in which the name is written.
        name : str
            Dotted name, such as ``helpers.Base``.
        depth : int, default 8
            Number of imports that are followed at most.

        Returns
        -------
        tuple of (ParsedModule, ClassOutline or FunctionSpan), or None
            The definition and the module that holds it. None if the suite does not define it.
        """
        if name in module.outline.classes:
            return module, module.outline.classes[name]
        for span in module.outline.tests:
            if span.name == name:
                return module, span
        first, _, rest = name.partition(".")
        if first not in module.outline.imports or depth == 0:
            return None
        source, attribute = module.outline.imports[first]
        parts = [part for part in (attribute, *rest.split(".")) if part]
        # The first parts may name packages and modules; the remaining ones a name inside them.
        for split in range(len(parts)):
            path = self._locate(module.path.parent, source, tuple(parts[:split]))
            imported = self.read(path) if path else None
            if isinstance(imported, ParsedModule):
                found = self.find(imported, ".".join(parts[split:]), depth - 1)
                if found:
                    return found
        return None

    def lineage(
        self, module: ParsedModule, definition: ClassOutline
    ) -> tuple[list[tuple[ParsedModule, ClassOutline]], list[str]]:
        """Return a class with its ancestors, nearest first, and the bases outside the suite.

        The order is depth first, from left to right. It differs from Python's own only if two
        bases share an ancestor.
        """
        pending = [(module, definition)]
        lineage: dict[tuple[ParsedModule, str], tuple[ParsedModule, ClassOutline]] = {}
        foreign: list[str] = []
        while pending:
            module, definition = pending.pop()
            if (module, definition.name) in lineage:
                continue
            lineage[module, definition.name] = (module, definition)
            scope = definition.name.rpartition(".")[0]
            for base in reversed(definition.bases):
                # In a nested class, names of the outer class hide those of the module.
                found = self.find(module, f"{scope}.{base}") if scope else None
                found = found or self.find(module, base)
                if found is None:
                    foreign.append(base)
                elif isinstance(found[1], ClassOutline):
                    pending.append((found[0], found[1]))
        return list(lineage.values()), foreign

    def save(self) -> None:
        """Write the outlines of the files that were read to the cache."""
        self._outlines.save()

    def _locate(self, folder: Path, source: str, parts: tuple[str, ...]) -> Path | None:
        """Return `_module_path` of an import, and remember it for the next time."""
        key = (folder, source, parts)
        if key not in self._located:
            self._located[key] = _module_path(folder, source, parts)
        return self._located[key]

    def _parse(self, path: Path) -> ParsedModule:
        """Read a file, or raise an error that says why it cannot be read."""
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
        # A file may state its encoding in a comment, as PEP 263 says.
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        return ParsedModule(path, text.split("\n"), self._outlines.outline(digest, text))


def _module_path(folder: Path, source: str, parts: tuple[str, ...]) -> Path | None:
    """Return the file of the module that a file in a folder imports; None if there is none.

    Parameters
    ----------
    folder : pathlib.Path
        Folder of the importing file.
    source : str
        Module as written after ``from`` or ``import``, with leading dots if it is relative.
    parts : tuple of str
        Names of the packages and the module below it.
    """
    name = source.lstrip(".")
    level = len(source) - len(name)
    dotted = [part for part in name.split(".") if part] + list(parts)
    above = [str(folder), *map(str, folder.parents)]
    # A relative import states its start; an absolute one may start at any folder above the file.
    for start in above[level - 1 : level] if level else above:
        # These are strings, because this check runs so often that pathlib would be too slow.
        stem = "/".join([start, *dotted])
        for candidate in (f"{stem}/__init__.py", f"{stem}.py"):
            if os.path.isfile(candidate):  # noqa: PTH113 - as said above.
                return Path(candidate)
    return None
