"""The tests of a pytest suite, found by parsing its files.

Which functions are tests follows pytest's defaults (https://docs.pytest.org, "Conventions for
Python test discovery"): functions ``test*`` in files ``test_*.py`` and ``*_test.py``, methods
``test*`` of classes ``Test*`` without a constructor, and of subclasses of ``unittest.TestCase``.
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from flashwasm.errors import ShapeError
from flashwasm.qe.suites.modules import Module, Modules
from flashwasm.qe.suites.outline import ClassOutline, Span
from flashwasm.qe.suites.root import root_folder
from flashwasm.qe.suites.sources import changed_files

__all__ = ["CollectedTest", "Skipped", "Suite", "collect", "is_test_file", "walk_files"]

_FILE_PATTERNS = ("test_*.py", "*_test.py")
# pytest's `norecursedirs`, and the caches that hold no source.
_FOLDERS_LEFT_OUT = (
    *(".*", "*.egg", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}"),
    "__pycache__",
)


@dataclass(frozen=True)
class CollectedTest:
    """One test function.

    A parametrised test is one entry. So is a test that several classes inherit.

    Parameters
    ----------
    nodeid : str
        Its name in pytest's form, relative to the suite's root:
        ``tests/test_x.py::TestA::test_b``.
    path : pathlib.Path
        The file that defines it.
    line : int
        The line of its ``def``, from 1.
    source : str
        Its source with decorators, without the indentation of its first line.
    also : tuple of str
        The other node ids under which pytest runs it, for classes that inherit it.
    """

    nodeid: str
    path: Path
    line: int
    source: str
    also: tuple[str, ...] = ()


@dataclass(frozen=True)
class Skipped:
    """A file or folder that could not be read, and why."""

    path: Path
    reason: str


@dataclass(frozen=True)
class Suite:
    """What `collect` found.

    Parameters
    ----------
    root : pathlib.Path
        The folder that node ids are relative to: pytest's rootdir.
    tests : list of CollectedTest
        The tests, in the order of files and lines.
    skipped : list of Skipped
        What could not be read.
    path : pathlib.Path
        The folder or file that was collected.
    digests : mapping of pathlib.Path to str
        The files that were read, with what tells their content from another.
    """

    root: Path
    tests: list[CollectedTest]
    skipped: list[Skipped]
    path: Path = Path()
    digests: Mapping[Path, str] = field(default_factory=dict)

    def changes(self) -> list[str]:
        """Return the files that were changed, removed or added since."""
        is_folder = self.path.is_dir()
        files = walk_files(self.path, [], _FILE_PATTERNS) if is_folder else [self.path]
        return changed_files(self.digests, files)


def collect(
    path: str | Path,
    *,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Suite:
    """Find the tests of a pytest suite, without importing it.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder, or one file of any name.
    cache : bool, default True
        Whether what was parsed is kept in the user's cache folder, by the files' content.
    progress : callable, optional
        Called with the number of files read and their total.

    Returns
    -------
    Suite
        The tests, and the files that could not be read.

    Raises
    ------
    ShapeError
        If there is no such file or folder.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "test_sum.py").write_text("def test_one(): assert 1")
    ...     [test.nodeid for test in collect(folder, cache=False).tests]
    ['test_sum.py::test_one']
    """
    if not Path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    # Not resolved: pytest calls what lies behind a link by the link's name.
    path = Path(os.path.abspath(path))  # noqa: PTH100
    skipped: list[Skipped] = []
    files = list(walk_files(path, skipped, _FILE_PATTERNS)) if path.is_dir() else [path]
    root = root_folder(path)

    modules = Modules(path, cache=cache)
    collector = _Collector(modules, root)
    for done, file in enumerate(files):
        module = modules.read(file)
        if isinstance(module, str):
            skipped.append(Skipped(file, module))
        else:
            collector.add(module)
        if progress is not None:
            progress(done + 1, len(files))
    modules.save()
    return Suite(root, collector.tests(), skipped, path, modules.digests)


def is_test_file(path: PurePath) -> bool:
    """Whether pytest looks for tests in a file of this name."""
    return any(fnmatch.fnmatchcase(path.name, pattern) for pattern in _FILE_PATTERNS)


class _Collector:
    """Node ids by the function that each of them runs."""

    def __init__(self, modules: Modules, root: Path) -> None:
        self._modules = modules
        self._root = root
        # The key says where a function is defined: classes that inherit it share its entry.
        self._found: dict[tuple[Module, str], tuple[Module, Span, list[str]]] = {}

    def add(self, module: Module) -> None:
        """Add what pytest collects from a file."""
        outline = module.outline
        if outline.is_test is False:
            return
        prefix = module.path.relative_to(self._root).as_posix()
        for span in outline.tests:
            self._add(module, span.name, span, f"{prefix}::{span.name}")
        for name, definition in outline.classes.items():
            if "." not in name:
                self._add_class(module, definition, name, prefix)
        bases = {base for definition in outline.classes.values() for base in definition.bases}
        for name in outline.imports:
            # What a file imports under a test's name, pytest runs in that file as well; so it does
            # with a TestCase of any name, which is imported to be a base.
            if not (name.startswith(("test", "Test")) or name in bases):
                continue
            if found := self._modules.find(module, name):
                source, definition_or_span = found
                if isinstance(definition_or_span, Span):
                    self._add(
                        source, definition_or_span.name, definition_or_span, f"{prefix}::{name}"
                    )
                else:
                    self._add_class(source, definition_or_span, name, prefix)

    def tests(self) -> list[CollectedTest]:
        """Return an entry for each function, in the order in which they were found."""
        return [
            CollectedTest(ids[0], module.path, span.line, module.source(span), tuple(ids[1:]))
            for module, span, ids in self._found.values()
        ]

    def _add_class(self, module: Module, definition: ClassOutline, name: str, prefix: str) -> None:
        """Add the tests of a class, and those that it inherits, as ``name`` below ``prefix``."""
        lineage, foreign = self._modules.lineage(module, definition)
        # unittest.TestCase, and what other frameworks derive from it under such a name.
        is_unittest = any(base.endswith("TestCase") for base in foreign)
        ancestors = [ancestor for _, ancestor in lineage]
        if not _is_collected(name, ancestors, is_unittest=is_unittest):
            return
        class_id = f"{prefix}::{name}"
        hidden: set[str] = set()
        for source, ancestor in lineage:
            for span in ancestor.tests:
                if span.name not in hidden:
                    key = f"{ancestor.name}.{span.name}"
                    self._add(source, key, span, f"{class_id}::{span.name}")
            # unittest knows no tests of a class inside a class.
            nested = {} if is_unittest else _nested(source, ancestor)
            for inner_name, inner in nested.items():
                if inner_name not in hidden:
                    self._add_class(source, inner, inner_name, class_id)
            hidden.update(ancestor.hidden, nested, (span.name for span in ancestor.tests))

    def _add(self, module: Module, name: str, span: Span, nodeid: str) -> None:
        ids = self._found.setdefault((module, name), (module, span, []))[2]
        own = f"{module.path.name}::{name.replace('.', '::')}"
        # A test goes by the class that defines it, where pytest runs it there.
        if nodeid.endswith(own):
            ids.insert(0, nodeid)
        else:
            ids.append(nodeid)


def _nested(module: Module, outer: ClassOutline) -> dict[str, ClassOutline]:
    """Return the classes directly inside a class, by their own names."""
    classes = module.outline.classes.values()
    named = [(definition.name.rpartition("."), definition) for definition in classes]
    return {name: definition for (scope, _, name), definition in named if scope == outer.name}


def _is_collected(name: str, lineage: list[ClassOutline], *, is_unittest: bool) -> bool:
    """Whether pytest collects a class, given it and its ancestors."""
    flags = [ancestor.is_test for ancestor in lineage if ancestor.is_test is not None]
    if flags and not flags[0]:
        return False
    named = name.startswith("Test") or bool(flags)
    return is_unittest or (named and not any(ancestor.has_constructor for ancestor in lineage))


def walk_files(root: Path, skipped: list[Skipped], patterns: Sequence[str]) -> Iterator[Path]:
    """Files of such names under a folder, in order; each folder once, whatever links lead to it."""

    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(Path(error.filename), error.strerror or str(error)))

    visited: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        status = Path(folder).stat()
        if (status.st_dev, status.st_ino) in visited:
            skipped.append(Skipped(Path(folder), "a link to a folder that was read already"))
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in sorted(folders) if not _is_left_out(Path(folder, name))]
        for name in sorted(files):
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns):
                yield Path(folder, name)


def _is_left_out(folder: Path) -> bool:
    """Whether pytest does not look into a folder: by its name, or as a virtual environment."""
    return (
        any(fnmatch.fnmatchcase(folder.name, pattern) for pattern in _FOLDERS_LEFT_OUT)
        or (folder / "pyvenv.cfg").is_file()
    )
