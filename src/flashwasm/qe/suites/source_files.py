"""Source files below a folder: test files, and the files of a program."""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath

from flashwasm.html_tables import html_table

__all__ = [
    "NO_RECURSION",
    "TEST_FILES",
    "TEST_FOLDERS",
    "Skipped",
    "absolute_path",
    "is_test_file",
    "is_unsearched",
    "walk_files",
    "walk_program_files",
]

# pytest's default `python_files`.
TEST_FILES = ("test_*.py", "*_test.py")
# Folders whose Python files belong to the tests.
TEST_FOLDERS = frozenset({"test", "tests", "testing"})
# pytest's default `norecursedirs`.
NO_RECURSION = (".*", "*.egg", "_darcs", "build", "CVS", "dist", "node_modules", "venv", "{arch}")
# Python's caches contain no source either.
_FOLDERS_LEFT_OUT = (*NO_RECURSION, "__pycache__")


@dataclass(frozen=True)
class Skipped:
    """A file or folder that could not be read, or a part of a file that could not be followed.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file or folder.
    reason : str
        Reason for skipping it. For a part of a file, the reason begins with the line.
    """

    path: Path
    reason: str

    _repr_html_ = html_table

    @property
    def hides_tests(self) -> bool:
        """True for a file or folder that was read, but contains tests that are not listed."""
        is_settings = self.path.suffix in {".cfg", ".ini", ".toml"}
        return self.reason.endswith(" not listed") and not is_settings


def absolute_path(path: str | Path) -> Path:
    """Return an absolute path without ``..``, without following symbolic links.

    Path.resolve would follow links. pytest names a test in a linked folder by the link.
    """
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path has nothing that does the same.


def is_test_file(path: PurePath) -> bool:
    """Return True if pytest looks for tests in a file with this name."""
    return _matches(path.name, TEST_FILES)


def walk_program_files(root: Path, skipped: list[Skipped]) -> Iterator[Path]:
    """Yield the Python files below a folder that are not test files, sorted; see `walk_files`."""
    return (file for file in walk_files(root, skipped, is_unsearched) if not is_test_file(file))


def walk_files(
    root: Path, skipped: list[Skipped], is_left_out: Callable[[Path], bool]
) -> Iterator[Path]:
    """Yield the Python files below a folder, sorted within each folder.

    Links to folders are followed, but each folder is read only once, even if links are circular.

    Parameters
    ----------
    root : pathlib.Path
        Folder to start at.
    skipped : list of Skipped
        Receives folders that cannot be read or that were already read.
    is_left_out : callable
        Function from the path of a folder to True if the folder is to be skipped.
    """

    def unreadable(error: OSError) -> None:
        skipped.append(Skipped(Path(error.filename), error.strerror or str(error)))

    visited: set[tuple[int, int]] = set()
    for folder, folders, files in os.walk(root, followlinks=True, onerror=unreadable):
        try:
            status = Path(folder).stat()
        except FileNotFoundError as error:  # Another process has just removed it.
            unreadable(error)
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in visited:
            skipped.append(Skipped(Path(folder), "a link to a folder that was read already"))
            folders.clear()
            continue
        visited.add((status.st_dev, status.st_ino))
        folders[:] = [name for name in sorted(folders) if not is_left_out(Path(folder, name))]
        yield from (Path(folder, name) for name in sorted(files) if name.endswith(".py"))


def is_unsearched(folder: Path) -> bool:
    """Return True if a folder is skipped because of its name or as a virtual environment."""
    return _matches(folder.name, _FOLDERS_LEFT_OUT) or (folder / "pyvenv.cfg").is_file()


def _matches(name: str, patterns: tuple[str, ...]) -> bool:
    """Return True if a name matches at least one of some case-sensitive shell patterns."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
