"""The timings of this machine in a file: seconds of each kind of call on each backend."""

from __future__ import annotations

import hashlib
import json
import platform
from typing import TYPE_CHECKING

from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.cache_file import keep_newest
from flashwasm.storage.user_folders import usable_cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["Seconds", "Timings"]

# Seconds of a kind of calls, by the name of the backend.
Seconds = dict[str, float]
# Maximum number of kinds of calls in memory and in the file. A kind occupies about 100 bytes.
_MOST_KINDS = 4096
# Maximum number of files: one for each machine and set of versions that share the folder.
_MOST_FILES = 24
_SUFFIX = ".json"


class Timings:
    """Timings by the name of the kind of call.

    Parameters
    ----------
    versions : iterable of str
        Versions and digests on which timings depend, besides the machine. If they change, calls are
        measured again.

    Attributes
    ----------
    path : pathlib.Path or None
        File with the timings; None if this user has no folder for caches.
    """

    def __init__(self, versions: Iterable[str]) -> None:
        facts = [platform.node(), platform.machine(), platform.processor(), *versions]
        digest = hashlib.sha256("\n".join(facts).encode()).hexdigest()[:16]
        folder = usable_cache_folder()
        self.path: Path | None = folder and folder / "hybrid" / f"{digest}{_SUFFIX}"
        self._facts = facts
        self._seconds: dict[str, Seconds] = self._read()

    def get(self, kind: str) -> Seconds | None:
        """Return the timings of a kind of calls, or None if it was not measured."""
        return self._seconds.get(kind)

    def all(self) -> Mapping[str, Seconds]:
        """Return all timings, in the order in which they were measured."""
        return self._seconds

    def put(self, kind: str, seconds: Seconds) -> None:
        """Add the timings of a kind of calls, and write the file.

        If the file cannot be written, the next process measures again.
        """
        if len(self._seconds) >= _MOST_KINDS:
            self._seconds.clear()
        self._seconds[kind] = seconds
        if self.path is None:
            return
        # Read the file again, because another process may have measured other kinds meanwhile.
        content = {"measured with": self._facts, "seconds": {**self._read(), **self._seconds}}
        try:
            write_atomically(self.path, [json.dumps(content, indent=1).encode()])
            keep_newest(self.path.parent, _SUFFIX, _MOST_FILES)
        except OSError:
            self.path = None

    def _read(self) -> dict[str, Seconds]:
        """Return the timings in the file; none if it is missing or has an unexpected form."""
        if self.path is None:
            return {}
        try:
            content = json.loads(self.path.read_bytes())
            return {
                str(kind): {str(name): float(value) for name, value in seconds.items()}
                for kind, seconds in content["seconds"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return {}
