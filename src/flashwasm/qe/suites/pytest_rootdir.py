"""Search for pytest's rootdir, the folder that node ids are relative to."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["pytest_rootdir", "settings_file"]

# Files that may contain pytest's settings, each with a pattern for the required section heading.
_SETTINGS = {
    "pytest.toml": "",
    ".pytest.toml": "",
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": r"^\s*\[tool\.pytest[.\]]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}
# If no folder contains settings, the rootdir is the nearest folder with the first of these files,
# or else with the second.
_LANDMARKS = ("pyproject.toml", "setup.py")


def pytest_rootdir(path: Path) -> Path:
    """Return the rootdir of ``pytest PATH`` in the working folder.

    The rules are pytest's (https://docs.pytest.org, "Finding the rootdir"). The rootdir is the
    first of these folders that exists:

    * the nearest folder above the path with settings,
    * the nearest folder above the path with pyproject.toml or setup.py,
    * the nearest folder above both the path and the working folder,
    * the path's own folder.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of a folder or a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "pytest.ini").write_text("")
    ...     Path(folder, "tests").mkdir()
    ...     pytest_rootdir(Path(folder, "tests")) == Path(folder)
    True
    """
    folder = path if path.is_dir() else path.parent
    above = (folder, *folder.parents)
    if configured := settings_file(path):
        return configured.parent
    for landmark in _LANDMARKS:
        for candidate in above:
            if (candidate / landmark).is_file():
                return candidate
    working = Path.cwd()
    if working.anchor != folder.anchor:
        return folder
    shared = Path(os.path.commonpath([working, folder]))
    return folder if shared == Path(shared.anchor) else shared


def settings_file(path: Path) -> Path | None:
    """Return the file from which ``pytest PATH`` reads its settings; None if there is none.

    Parameters
    ----------
    path : pathlib.Path
        Absolute path of a folder or a file.
    """
    start = path if path.is_dir() else path.parent
    for folder in (start, *start.parents):
        for name, heading in _SETTINGS.items():
            file = folder / name
            if file.is_file() and _has_heading(file, heading):
                return file
    return None


def _has_heading(file: Path, heading: str) -> bool:
    """Return True if a file has a line that a pattern matches."""
    text = file.read_text(encoding="utf-8", errors="replace") if heading else ""
    return re.search(heading, text, re.MULTILINE) is not None
