"""The warning that a cache file cannot be written, which the command line prints only once."""

from __future__ import annotations

import warnings
from pathlib import Path

__all__ = ["UnwritableCacheWarning", "warn_unwritable"]


class UnwritableCacheWarning(RuntimeWarning):
    """A cache file cannot be written, so that later runs compute its content again."""


def warn_unwritable(path: Path, error: OSError) -> None:
    """Warn the caller's caller that a cache file cannot be written."""
    reason = f"{error.strerror}; later runs will compute its content again"
    warnings.warn(f"cannot write {path}: {reason}", UnwritableCacheWarning, stacklevel=4)
