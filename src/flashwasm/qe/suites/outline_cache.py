"""A cache of the outlines of a suite's files, so that later runs parse only changed files."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from flashwasm.qe.suites.module_outline import ModuleOutline
from flashwasm.qe.suites.outline_parser import parse_outline
from flashwasm.storage.cache_file import keep_newest, read_cache, write_cache
from flashwasm.storage.user_folders import usable_cache_folder

__all__ = ["OutlineCache"]

_KIND, _SECTION = "outline-cache", "outlines"
# Part of the cache file's name. Increase it if the content or the format of outlines changes.
_VERSION = 4
# Number of suites whose outlines are kept, those used last. Each CI job may have a new folder.
_SUITES_KEPT = 64


class OutlineCache:
    """Outlines of a suite's files by the digest of their content.

    Parameters
    ----------
    suite : pathlib.Path
        Folder or file of the suite. Each suite has a separate cache file.
    enabled : bool
        True to cache the outlines in the user's cache folder, False to parse every file.
    """

    def __init__(self, suite: Path, *, enabled: bool) -> None:
        # An outline depends on conditions on Python's version and platform.
        python = f"{sys.platform} {sys.version_info[:3]}"
        name = f"{_VERSION} {python} {suite.resolve()}".encode("utf-8", "surrogateescape")
        file = f"{hashlib.sha256(name).hexdigest()[:32]}.bin"
        folder = usable_cache_folder() if enabled else None
        self._path = None if folder is None else folder / "suites" / file
        self._stored: dict[str, Any] = {}
        if self._path and (arrays := read_cache(self._path, _KIND)):
            self._stored = _outlines(arrays)
        # New outlines are converted to JSON only if they are written.
        self._used: dict[str, Any] = {}

    def outline(self, digest: str, text: str) -> ModuleOutline:
        """Return the outline of a file, parsing the text only if its digest is not in the cache.

        It raises the errors of `parse_outline`.
        """
        stored = self._stored.get(digest)
        if stored is not None:
            try:
                outline = ModuleOutline.from_json(stored)
            except (LookupError, TypeError, ValueError, AttributeError):
                stored = None  # The file is damaged, although its checksums match.
        if stored is None:
            outline = stored = parse_outline(text)
        self._used[digest] = stored
        return outline

    def save(self) -> None:
        """Write the requested outlines, unless the cache file contains exactly these."""
        if self._path is not None and self._used.keys() != self._stored.keys():
            document = json.dumps(self._used, default=ModuleOutline.to_json).encode()
            if write_cache(self._path, _KIND, {_SECTION: np.frombuffer(document, np.uint8)}):
                # Another process may remove the same files, or the user the folder.
                with suppress(OSError):
                    keep_newest(self._path.parent, self._path.suffix, _SUITES_KEPT)


def _outlines(arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, Any]:
    """Return the outlines in a cache file by digest; none if the content is not outlines."""
    try:
        document = json.loads(arrays[_SECTION].tobytes())
    except (LookupError, ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}
