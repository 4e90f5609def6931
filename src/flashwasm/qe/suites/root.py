"""The folder that pytest's node ids are relative to."""

from __future__ import annotations

import os
import re
from pathlib import Path

__all__ = ["root_folder"]

# Files that hold pytest's settings, and the table without which they are not taken as such.
_SETTINGS = {
    "pytest.toml": "",
    ".pytest.toml": "",
    "pytest.ini": "",
    ".pytest.ini": "",
    "pyproject.toml": r"^\s*\[tool\.pytest[.\]]",
    "tox.ini": r"^\[pytest\]",
    "setup.cfg": r"^\[tool:pytest\]",
}
# Files at whose folder pytest stops where no folder has settings, the first before the second.
_LANDMARKS = ("pyproject.toml", "setup.py")


def root_folder(path: Path) -> Path:
    """Return what ``pytest PATH``, run in the working folder, calls its rootdir.

    The rules are pytest's own (https://docs.pytest.org, "Finding the rootdir"): the nearest folder
    above the path with settings, else the nearest with a landmark, else the folder that the path
    and the working folder share, else the path's folder.

    Parameters
    ----------
    path : pathlib.Path
        An absolute path of a folder or a file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "pytest.ini").write_text("")
    ...     Path(folder, "tests").mkdir()
    ...     root_folder(Path(folder, "tests")) == Path(folder)
    True
    """
    folder = path if path.is_dir() else path.parent
    above = (folder, *folder.parents)
    if configured := next(filter(_has_settings, above), None):
        return configured
    for landmark in _LANDMARKS:
        for candidate in above:
            if (candidate / landmark).is_file():
                return candidate
    working = Path.cwd()
    if working.anchor != folder.anchor:
        return folder
    shared = Path(os.path.commonpath([working, folder]))
    return folder if shared == Path(shared.anchor) else shared


def _has_settings(folder: Path) -> bool:
    return any(
        re.search(table, path.read_text(encoding="utf-8", errors="replace"), re.MULTILINE)
        for name, table in _SETTINGS.items()
        if (path := folder / name).is_file()
    )
