"""Collection of a suite's tests by parsing its files.

The rules are pytest's defaults (https://docs.pytest.org, "Conventions for Python test discovery").
Tests are the functions ``test*`` in files ``test_*.py`` and ``*_test.py``, the methods ``test*`` of
classes ``Test*`` without a constructor, and those of subclasses of ``unittest.TestCase``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from flashwasm.errors import ShapeError
from flashwasm.qe.suites.module_outline import ClassOutline, FunctionSpan
from flashwasm.qe.suites.module_reader import ModuleReader, ParsedModule
from flashwasm.qe.suites.pytest_rootdir import pytest_rootdir
from flashwasm.qe.suites.source_files import Skipped, absolute_path, walk_test_files
from flashwasm.qe.suites.suite import CollectedTest, Suite

__all__ = ["collect"]


def collect(
    path: str | Path,
    *,
    cache: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Suite:
    """Find the tests of a pytest suite without importing it.

    Parameters
    ----------
    path : str or pathlib.Path
        A folder, or one file of any name.
    cache : bool, default True
        True to keep the outlines of parsed files in the user's cache folder.
    progress : callable, optional
        Function that is called with the number of files read so far and the number of files.

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
    ...     _ = Path(folder, "pytest.ini").write_text("")
    ...     _ = Path(folder, "test_sum.py").write_text("def test_one(): assert 1")
    ...     [test.nodeid for test in collect(folder, cache=False).tests]
    ['test_sum.py::test_one']
    """
    if not Path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    path = absolute_path(path)
    skipped: list[Skipped] = []
    files = list(walk_test_files(path, skipped)) if path.is_dir() else [path]
    root = pytest_rootdir(path)

    modules = ModuleReader(path, cache=cache)
    collector = _Collector(modules, root)
    for done, file in enumerate(files):
        module = modules.read(file)
        if isinstance(module, str):
            skipped.append(Skipped(file, module))
        else:
            collector.add_module(module)
        if progress is not None:
            progress(done + 1, len(files))
    modules.save()
    return Suite(root, collector.tests(), skipped, path, modules.digests)


class _Collector:
    """Collects the node ids of each test function.

    Parameters
    ----------
    modules : ModuleReader
        Reader of the suite's files.
    root : pathlib.Path
        Folder that node ids are relative to.
    """

    def __init__(self, modules: ModuleReader, root: Path) -> None:
        self._modules = modules
        self._root = root
        # The key is the place that defines a function, so classes that inherit it share its entry.
        self._found: dict[
            tuple[ParsedModule, str], tuple[ParsedModule, FunctionSpan, list[str]]
        ] = {}

    def add_module(self, module: ParsedModule) -> None:
        """Add the tests that pytest collects from a file."""
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
            # pytest also runs imported functions and classes that are named like tests, and an
            # imported TestCase of any name. Other names are followed only if they are a base here.
            if not (name.startswith(("test", "Test")) or name in bases):
                continue
            if found := self._modules.find(module, name):
                source, imported = found
                if isinstance(imported, FunctionSpan):
                    self._add(source, imported.name, imported, f"{prefix}::{name}")
                else:
                    self._add_class(source, imported, name, prefix)

    def tests(self) -> list[CollectedTest]:
        """Return an entry for each function, in the order in which they were found."""
        return [
            CollectedTest(ids[0], module.path, span.line, module.source(span), tuple(ids[1:]))
            for module, span, ids in self._found.values()
        ]

    def _add_class(
        self, module: ParsedModule, definition: ClassOutline, name: str, prefix: str
    ) -> None:
        """Add the tests that a class defines and inherits, under the node id ``prefix::name``."""
        lineage, foreign = self._modules.lineage(module, definition)
        # This ending is also that of classes that frameworks derive from unittest.TestCase.
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
            # unittest does not look for tests in classes inside a class.
            nested = {} if is_unittest else _nested(source, ancestor)
            for inner_name, inner in nested.items():
                if inner_name not in hidden:
                    self._add_class(source, inner, inner_name, class_id)
            hidden.update(ancestor.hidden, nested, (span.name for span in ancestor.tests))

    def _add(self, module: ParsedModule, name: str, span: FunctionSpan, nodeid: str) -> None:
        """Add a node id to the function that a module defines under a qualified name."""
        ids = self._found.setdefault((module, name), (module, span, []))[2]
        own = f"{module.path.name}::{name.replace('.', '::')}"
        # The first node id is that of the defining class, if pytest runs the test there.
        if nodeid.endswith(own):
            ids.insert(0, nodeid)
        else:
            ids.append(nodeid)


def _nested(module: ParsedModule, outer: ClassOutline) -> dict[str, ClassOutline]:
    """Return the classes directly inside a class, by their unqualified names."""
    classes = module.outline.classes.values()
    named = [(definition.name.rpartition("."), definition) for definition in classes]
    return {name: definition for (scope, _, name), definition in named if scope == outer.name}


def _is_collected(name: str, lineage: list[ClassOutline], *, is_unittest: bool) -> bool:
    """Return True if pytest collects a class of this name, given it and its ancestors."""
    flags = [ancestor.is_test for ancestor in lineage if ancestor.is_test is not None]
    if flags and not flags[0]:
        return False
    named = name.startswith("Test") or bool(flags)
    return is_unittest or (named and not any(ancestor.has_constructor for ancestor in lineage))
