"""The change between two releases of a package, unpacked in two folders."""

from __future__ import annotations

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.quality.past_changes import (
    MOST_FILES,
    MOST_TESTS,
    PastChange,
    changed_tests,
    is_product,
    same_code,
    suite_folder,
)
from flashwasm.errors import ShapeError
from flashwasm.qe.suites.collection import collect

__all__ = ["change_between"]


def change_between(old: Path, new: Path) -> Iterator[PastChange]:
    """Yield the change from one release to the next, unless it is too large or of one kind only.

    Parameters
    ----------
    old, new : pathlib.Path
        Folders of two releases, each with its tests.

    Raises
    ------
    ShapeError
        If the older release has no tests.
    """
    before, after = (collect(suite_folder(release)).tests for release in (old, new))
    if not before:
        raise ShapeError(f"releases: {old} has no tests; expected two releases with tests")
    texts = [_product(release) for release in (old, new)]
    names = sorted({*texts[0], *texts[1]})
    product = [name for name in names if not same_code(texts[0].get(name), texts[1].get(name))]
    tests = changed_tests(before, after)
    if not (0 < len(product) <= MOST_FILES and 0 < len(tests) <= MOST_TESTS):
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, old.resolve().name)
        shutil.copytree(old, copy, symlinks=True)
        for name in product:
            text = texts[1].get(name)
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                (copy / name).unlink()
            else:
                (copy / name).write_text(text, "utf-8")
        diff = "".join(_diff(name, texts[0].get(name), texts[1].get(name)) for name in product)
        yield PastChange(
            _project(old), f"{old.name} to {new.name}", suite_folder(copy), diff, tests
        )


def _product(release: Path) -> dict[str, str]:
    """Return the text of each file of a release's product, by its path."""
    paths = {path.relative_to(release).as_posix(): path for path in release.rglob("*.py")}
    return {
        name: path.read_text("utf-8", "replace") for name, path in paths.items() if is_product(name)
    }


def _project(release: Path) -> str:
    """Return the name of a package from that of its folder, such as ``click-8.1.7``."""
    return release.resolve().name.rpartition("-")[0] or release.resolve().name


def _diff(name: str, before: str | None, after: str | None) -> str:
    """Return the unified diff of a file; None is a missing file."""
    old, new = ((text or "").splitlines(keepends=True) for text in (before, after))
    old_name = "/dev/null" if before is None else f"a/{name}"
    new_name = "/dev/null" if after is None else f"b/{name}"
    lines = difflib.unified_diff(old, new, old_name, new_name)
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)
