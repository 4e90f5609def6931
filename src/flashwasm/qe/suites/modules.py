"""Python files that were read, how they import one another, and a cache of what was parsed."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tokenize
import warnings
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISREG
from typing import Any

from flashwasm.qe.suites.outline import ClassOutline, Outline, Span, parse
from flashwasm.qe.suites.sources import LARGEST_SOURCE, file_digest
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.user_folders import cache_folder

__all__ = ["Module", "Modules"]

# Written into the cache, before a digest of the rest: what another version wrote is not read.
_CACHE_VERSION = 1
# Imports followed from one module to the next, so that circular ones come to an end.
_MAX_IMPORTS = 8


# Compared by identity: `Modules` reads each file once.
@dataclass(frozen=True, eq=False)
class Module:
    """A file that was read.

    Parameters
    ----------
    path : pathlib.Path
        The file.
    lines : list of str
        Its source.
    outline : Outline
        What it defines.
    """

    path: Path
    lines: list[str]
    outline: Outline

    def source(self, span: Span) -> str:
        """Return a function's source, without the indentation of its first line."""
        text = "\n".join(self.lines[span.first - 1 : span.last])
        first = self.lines[span.first - 1]
        indentation = first[: len(first) - len(first.lstrip())]
        return text.removeprefix(indentation).replace(f"\n{indentation}", "\n")


class Modules:
    """The files of a suite, each read once.

    Parameters
    ----------
    path : pathlib.Path
        The suite's folder or file; it has a cache file of its own.
    cache : bool
        Whether outlines are kept in the user's cache folder, by the files' content.

    Attributes
    ----------
    digests : dict of pathlib.Path to str
        Each file that was asked for, and `file_digest` of what was read.
    """

    def __init__(self, path: Path, *, cache: bool) -> None:
        key = hashlib.sha256(str(path.resolve()).encode("utf-8", "surrogateescape")).hexdigest()
        self._cache_path = cache_folder() / "suites" / f"{key[:32]}.json" if cache else None
        self._cached = _read_cache(self._cache_path) if self._cache_path else {}
        self._used: dict[str, dict[str, Any]] = {}
        self._read: dict[Path, Module | str] = {}
        self._located: dict[tuple[Path, str, tuple[str, ...]], Path | None] = {}
        self.digests: dict[Path, str] = {}

    def read(self, path: Path) -> Module | str:
        """Return a file's module, or the reason why there is none."""
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
        self, module: Module, name: str, depth: int = _MAX_IMPORTS
    ) -> tuple[Module, ClassOutline | Span] | None:
        """Follow a dotted name to the class or test function that it means in a module."""
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
        # The first of the parts may be packages and modules; the others are a name inside them.
        for split in range(len(parts)):
            path = self._locate(module.path.parent, source, tuple(parts[:split]))
            imported = self.read(path) if path else None
            if isinstance(imported, Module):
                found = self.find(imported, ".".join(parts[split:]), depth - 1)
                if found:
                    return found
        return None

    def lineage(
        self, module: Module, definition: ClassOutline
    ) -> tuple[list[tuple[Module, ClassOutline]], list[str]]:
        """Return a class and its ancestors, nearest first, and the bases that are not in the suite.

        The order is depth first, left to right: Python's own but for diamonds.
        """
        pending = [(module, definition)]
        lineage: dict[tuple[Module, str], tuple[Module, ClassOutline]] = {}
        foreign: list[str] = []
        while pending:
            module, definition = pending.pop()
            if (module, definition.name) in lineage:
                continue
            lineage[module, definition.name] = (module, definition)
            scope = definition.name.rpartition(".")[0]
            for base in reversed(definition.bases):
                # Inside a class, its own names come before the module's.
                found = self.find(module, f"{scope}.{base}") if scope else None
                found = found or self.find(module, base)
                if found is None:
                    foreign.append(base)
                elif isinstance(found[1], ClassOutline):
                    pending.append((found[0], found[1]))
        return list(lineage.values()), foreign

    def save(self) -> None:
        """Keep what was parsed for the next run."""
        if self._cache_path is None or self._used.keys() == self._cached.keys():
            return
        content = json.dumps(self._used).encode()
        header = f"{_CACHE_VERSION} {hashlib.sha256(content).hexdigest()}\n"
        try:
            write_atomically(self._cache_path, [header.encode(), content])
        except OSError as error:
            warnings.warn(f"cannot write {self._cache_path}: {error}", RuntimeWarning, stacklevel=2)

    def _locate(self, folder: Path, source: str, parts: tuple[str, ...]) -> Path | None:
        key = (folder, source, parts)
        if key not in self._located:
            self._located[key] = _located(folder, source, parts)
        return self._located[key]

    def _parse(self, path: Path) -> Module:
        try:
            status = path.stat()
        except FileNotFoundError:
            raise ValueError("a link to nothing") from None
        # Opening a pipe would wait for someone to write to it.
        if not S_ISREG(status.st_mode):
            raise ValueError("not a regular file")
        if (size := status.st_size) > LARGEST_SOURCE:
            raise ValueError(f"{size} bytes, more than the {LARGEST_SOURCE} that are read")
        data = path.read_bytes()
        key = self.digests[path] = hashlib.sha256(data).hexdigest()
        # PEP 263: a file says in which encoding it is.
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        text = data.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
        outline = Outline.from_json(self._cached[key]) if key in self._cached else parse(text)
        self._used[key] = self._cached.get(key) or outline.to_json()
        return Module(path, text.split("\n"), outline)


def _located(folder: Path, source: str, parts: tuple[str, ...]) -> Path | None:
    """File of the module ``source``, ``parts`` below it, as a file in a folder imports it."""
    name = source.lstrip(".")
    level = len(source) - len(name)
    dotted = [part for part in name.split(".") if part] + list(parts)
    above = [str(folder), *map(str, folder.parents)]
    # A relative import says where it starts; an absolute one starts at some folder above the file.
    for start in above[level - 1 : level] if level else above:
        # Strings: this is asked for every import under a test's name, and paths take their time.
        stem = os.path.join(start, *dotted)  # noqa: PTH118
        for candidate in (f"{stem}{os.sep}__init__.py", f"{stem}.py"):
            if os.path.isfile(candidate):  # noqa: PTH113
                return Path(candidate)
    return None


def _read_cache(path: Path) -> dict[str, Any]:
    """Return outlines by the digest of what they are of; none where the file is damaged."""
    try:
        header, _, content = path.read_bytes().partition(b"\n")
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        warnings.warn(f"cannot read {path}: {error}", RuntimeWarning, stacklevel=2)
        return {}
    version, _, digest = header.partition(b" ")
    if digest != hashlib.sha256(content).hexdigest().encode():
        warnings.warn(f"ignoring the damaged cache {path}", RuntimeWarning, stacklevel=2)
        return {}
    outlines: dict[str, Any] = json.loads(content) if version == b"%d" % _CACHE_VERSION else {}
    return outlines
