"""The sources that a recording measures: a project's own files, wherever they are imported from."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from flashwasm.qe.changes.import_graph import project_root
from flashwasm.qe.suites.source_files import is_test_file

__all__ = ["measured_sources"]

# Files that mark the folder of a project that can be installed.
_BUILT = ("pyproject.toml", "setup.py", "setup.cfg")
# Modules and packages that are not what a project's tests are about.
_NO_PART = {"conftest.py", "setup.py", "noxfile.py", "test", "tests", "docs"}


def measured_sources(rootdir: Path) -> tuple[list[str], list[str]]:
    """Return the folders and the packages whose lines are recorded.

    The first folder is that of the project. coverage.py itself leaves out what was installed below
    it. The packages are those of the project that Python imports from somewhere else, because a
    copy was installed, or another checkout. If the folder holds tests only, the projects that were
    installed as editable are recorded instead.

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
    """Return the checkout that holds pytest's rootdir, or else the project, or else the rootdir."""
    above = (rootdir, *rootdir.parents)
    built = (folder for folder in above if any((folder / name).is_file() for name in _BUILT))
    root = project_root(rootdir, ())
    return next(built, root) if root == rootdir else root


def _editable() -> Iterator[Path]:
    """Yield the folders of the projects that were installed as editable."""
    for distribution in metadata.distributions():
        text = distribution.read_text("direct_url.json")
        try:
            origin = json.loads(text) if text else {}
            if origin.get("dir_info", {}).get("editable"):
                yield Path(url2pathname(urlsplit(origin["url"]).path))
        except (ValueError, KeyError, AttributeError):
            continue  # A damaged note of an installer says nothing about where its files are.


def _packages(root: Path) -> Iterator[str]:
    """Yield the names of the modules and packages at the top of a project, other than its tests."""
    for folder in (root, root / "src"):
        for path in folder.iterdir() if folder.is_dir() else ():
            program = path.suffix == ".py" and not is_test_file(path) and path.name not in _NO_PART
            package = (path / "__init__.py").is_file() and path.name not in _NO_PART
            if (program or package) and path.stem.isidentifier():
                yield path.stem


def _is_imported_from(name: str, root: Path) -> bool:
    """Return True if Python imports a package from the project, or does not find it elsewhere."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return True
    if spec is None or not spec.has_location or spec.origin is None:
        return True
    origin = Path(spec.origin).resolve()
    return origin.is_relative_to(root.resolve()) and "site-packages" not in origin.parts
