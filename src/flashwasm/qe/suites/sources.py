"""Whether files are still those that something was made from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from flashwasm.storage.digests import sha256_of

__all__ = ["LARGEST_SOURCE", "changed_files", "file_digest"]

# Modules written by hand stay well under a megabyte; what is larger than this was generated, and
# its syntax tree would take a hundred times its size.
LARGEST_SOURCE = 8 << 20


def file_digest(path: Path) -> str:
    """Return what tells a file's content from another: "" for a file that cannot be read.

    Examples
    --------
    >>> file_digest(Path("there is no such file"))
    ''
    """
    try:
        # Opening a pipe would wait for someone to write to it.
        if not path.is_file():
            return ""
        if (size := path.stat().st_size) > LARGEST_SOURCE:
            return f"{size} bytes"
        return sha256_of(path)
    except OSError:
        return ""


def changed_files(digests: Mapping[Path, str], present: Iterable[Path]) -> list[str]:
    """Return the files that were changed, removed or added, in order.

    Parameters
    ----------
    digests : mapping of pathlib.Path to str
        `file_digest` of each file when it was read.
    present : iterable of pathlib.Path
        The files that would be read now.
    """
    changed = {path for path, digest in digests.items() if file_digest(path) != digest}
    return sorted(str(path) for path in changed | (set(present) - digests.keys()))
