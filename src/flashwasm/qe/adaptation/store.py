"""Versions of a suite's adaptation on disk, and which of them is active.

A folder a suite: ``0001``, ``0002``, ... with a version each, and the file ``active``, which names
the active version and those that were active before it. A version is there once its ``facts.json``
is, which is written last; ``active`` is replaced as a whole. So a process that ends at any moment
leaves the version active that was, or the new one.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CorruptFileError, ShapeError
from flashwasm.qe.adaptation.adaptation import Adaptation
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.storage.user_folders import data_folder

if TYPE_CHECKING:
    from pathlib import Path

    from flashwasm.runtime.runtime import Runtime

__all__ = ["AdaptationStore", "Version"]

_FACTS = "facts.json"
_DIGITS = 4


@dataclass(frozen=True)
class Version:
    """One version of a suite's adaptation.

    Attributes
    ----------
    number : int
        From 1.
    created : str
        When, in UTC.
    model : str
        Digest of the model whose embeddings it adapts.
    verdict : dict
        What the gate found.
    """

    number: int
    created: str
    model: str
    verdict: dict[str, Any]


class AdaptationStore:
    """The adaptations of one suite.

    Parameters
    ----------
    suite : str or pathlib.Path
        The suite's root folder.
    folder : pathlib.Path, optional
        Where to keep them; None is a folder in the user's data folder.
    """

    def __init__(self, suite: str | Path, folder: Path | None = None) -> None:
        name = hashlib.sha256(str(suite).encode("utf-8", "surrogatepass")).hexdigest()[:16]
        self.folder = data_folder() / "adaptations" / name if folder is None else folder

    def add(self, adaptation: Adaptation, model: str, verdict: dict[str, Any]) -> Version:
        """Write a new version, which is not active yet."""
        self.folder.mkdir(parents=True, exist_ok=True)
        number = max([*self._numbers(), 0])
        while True:
            number += 1
            folder = self._folder(number)
            try:
                # Another process may make the same one at this moment.
                folder.mkdir()
                break
            except FileExistsError:
                continue
        adaptation.save(folder)
        created = datetime.now(timezone.utc).isoformat(timespec="seconds")
        facts = {"created": created, "model": model, "verdict": verdict}
        write_atomically(folder / _FACTS, [json.dumps(facts, indent=2).encode()])
        return Version(number, created, model, verdict)

    def load(self, version: Version, runtime: Runtime | None = None) -> Adaptation:
        """Return the adaptation of a version."""
        return Adaptation.load(self._folder(version.number), runtime)

    def history(self) -> list[Version]:
        """Return all versions, the oldest first."""
        whole = [n for n in self._numbers() if (self._folder(n) / _FACTS).is_file()]
        return [self._version(number) for number in sorted(whole)]

    def active(self) -> Version | None:
        """Return the version that is active."""
        stack = self._stack()
        return self._version(stack[-1]) if stack else None

    def activate(self, version: Version) -> None:
        """Make a version the active one."""
        self._write([*self._stack(), version.number])

    def rollback(self) -> Version | None:
        """Go back to what was active before, and return it; None is no adaptation.

        Raises
        ------
        ShapeError
            If none is active.
        """
        stack = self._stack()
        if not stack:
            raise ShapeError("no adaptation is active, so there is none to roll back")
        before = self._version(stack[-2]) if len(stack) > 1 else None
        self._write(stack[:-1])
        return before

    def _folder(self, number: int) -> Path:
        return self.folder / f"{number:0{_DIGITS}}"

    def _numbers(self) -> list[int]:
        return [int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdecimal()]

    def _version(self, number: int) -> Version:
        path = self._folder(number) / _FACTS
        facts = _read(path)
        if facts is None:
            raise CorruptFileError(f"{path} is missing, though its version is active")
        try:
            return Version(number, facts["created"], facts["model"], dict(facts["verdict"]))
        except (KeyError, TypeError, ValueError):
            raise CorruptFileError(f"{path}: this describes no adaptation") from None

    def _stack(self) -> list[int]:
        """Return the active version after those that were active before it."""
        path = self.folder / "active"
        stack = _read(path)
        if stack is None:
            return []
        if not isinstance(stack, list) or not all(type(n) is int and n > 0 for n in stack):
            raise CorruptFileError(f"{path}: this names no versions")
        return stack

    def _write(self, stack: list[int]) -> None:
        write_atomically(self.folder / "active", [json.dumps(stack).encode()])


def _read(path: Path) -> Any:
    """Return a JSON file's content; None where there is no such file."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise CorruptFileError(f"{path}: {error}") from None
