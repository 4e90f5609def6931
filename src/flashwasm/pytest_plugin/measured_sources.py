"""The sources that a recording measures: the project's own files, even if imported elsewhere."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flashwasm.qe.changes.imports.project_root import project_root
from flashwasm.qe.suites.source_files import is_test_file

__all__ = ["measured_sources"]

# Files that mark the folder of an installable project.
_BUILT = ("pyproject.toml", "setup.py", "setup.cfg")
# Modules and packages that are not part of a project's own code.
_NO_PART = {"conftest.py", "setup.py", "noxfile.py", "test", "tests", "docs"}


def measured_sources(rootdir: Path) -> tuple[list[str], list[str]]:
    """Return the folders and the packages to record.

    The first folder is that of the project; coverage.py leaves out the packages installed below it.
    The packages are those of the project that Python imports from elsewhere, because a copy or
    another checkout is installed. If the project's folder contains tests only, the folders of
    editable installs are recorded too.

    Parameters
    ----------
    rootdir : pathlib.Path
        pytest's rootdir.
    """
    root = _project(rootdir)
    packages = list(_packages(root))
    folders = [root] if packages else [root, *_editable()]
    return [str(f) for f in folders], [p for p in packages if not _is_imported_from(p, root)]


def _project(rootdir: Path) -> Path:
    """Return the checkout that contains the rootdir, or else the project, or else the rootdir."""
    above = (rootdir, *rootdir.parents)
    built = (folder for folder in above if any((folder / name).is_file() for name in _BUILT))
    root = project_root(rootdir, ())
    return next(built, root) if root == rootdir else root


def _editable() -> Iterator[Path]:
    """Yield the folders of editable installs."""
    for distribution in metadata.distributions():
        text = distribution.read_text("direct_url.json")
        try:
            origin = json.loads(text) if text else {}
            if origin.get("dir_info", {}).get("editable"):
                yield Path(url2pathname(urlsplit(origin["url"]).path))
        except (ValueError, KeyError, AttributeError):
            continue  # A damaged direct_url.json does not name the project's folder.


def _packages(root: Path) -> Iterator[str]:
    """Yield the names of a project's top-level modules and packages, except tests."""
    for folder in (root, root / "src"):
        for path in folder.iterdir() if folder.is_dir() else ():
            program = path.suffix == ".py" and not is_test_file(path) and path.name not in _NO_PART
            package = (path / "__init__.py").is_file() and path.name not in _NO_PART
            if (program or package) and path.stem.isidentifier():
                yield path.stem


def _is_imported_from(name: str, root: Path) -> bool:
    """Return True if Python imports a package from the project, or cannot find it."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    if spec is None or not spec.has_location or spec.origin is None:
        return True
    origin = Path(spec.origin).resolve()
    return origin.is_relative_to(root.resolve()) and "site-packages" not in origin.parts
