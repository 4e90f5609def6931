"""Collection of a suite's tests by parsing its files.

The rules are pytest's (https://docs.pytest.org, "Conventions for Python test discovery"), with the
suite's settings. Tests that pytest could only find by running code are reported as skipped.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import NoneType

from flashwasm.errors import ShapeError
from flashwasm.object_checks import instance_of
from flashwasm.qe.suites.collector import Collector
from flashwasm.qe.suites.module_reader import ModuleReader
from flashwasm.qe.suites.pytest_settings import read_settings
from flashwasm.qe.suites.source_files import Skipped, absolute_path
from flashwasm.qe.suites.star_imports import star_digest
from flashwasm.qe.suites.suite import Suite
from flashwasm.qe.suites.suite_files import suite_files
from flashwasm.storage.file_paths import checked_path
from flashwasm.validation import flag

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
        A folder, or one file of any name. If it is pytest's rootdir, the setting ``testpaths``
        applies, as it does for ``pytest`` without arguments.
    cache : bool, default True
        True to cache the outlines of parsed files in the user's cache folder.
    progress : callable, optional
        Function to call with the number of files read so far and the number of files.

    Returns
    -------
    Suite
        The tests, and the files and parts of files that could not be read or followed.

    Raises
    ------
    DTypeError
        If an argument is of the wrong type.
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
    flag(cache, "cache")
    instance_of(progress, (Callable, NoneType), "progress")
    if not checked_path(path).exists():
        raise ShapeError(f"path {str(path)!r} does not exist; expected a folder or a file")
    path = absolute_path(path)
    settings = read_settings(path)
    skipped: list[Skipped] = list(settings.skipped)
    files = suite_files(path, settings, skipped)

    roots = [*settings.pythonpath, settings.root, settings.root / "src"]
    modules = ModuleReader(path, settings.root, roots, cache=cache)
    collector = Collector(modules, settings)
    for done, file in enumerate(files):
        module = modules.read(file)
        if isinstance(module, str):
            skipped.append(Skipped(file, module))
        else:
            collector.add_module(module)
        if progress is not None:
            progress(done + 1, len(files))
    modules.save()
    skipped += collector.skipped()
    sources = collector.sources().union(files)
    digests = {file: digest for file, digest in modules.digests.items() if file in sources}
    for module in collector.stars():
        if module.path not in digests:
            content = modules.digests[module.path]
            digests[module.path] = star_digest(content, module, settings)
    return Suite(settings.root, collector.tests(), skipped, path, digests)
