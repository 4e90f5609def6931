"""The log of a run: the results of each finished step, so that a stopped run can be resumed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flashwasm.errors import CorruptFileError, FlashWasmError
from flashwasm.storage.atomic_files import write_atomically

__all__ = ["RunLog"]


class RunLog:
    """A file of JSON lines: the settings of a run, then the results of each finished step.

    The whole file is written again for each step, so that it is complete at every moment.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file.
    settings : mapping of str
        Everything on which the results depend, in JSON types: machine, versions and options.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self._path = path
        self._settings = dict(settings)
        self._steps: dict[str, dict[str, Any]] = {}

    @classmethod
    def begin(cls, path: Path, settings: Mapping[str, Any]) -> RunLog:
        """Return the log of a new run. Its file replaces that of an earlier run.

        Parameters
        ----------
        path : pathlib.Path
            Path of the file. Its folder is created if necessary.
        settings : mapping of str
            Settings of the run.
        """
        log = cls(path, settings)
        log._write()
        return log

    @classmethod
    def resume(cls, path: Path, settings: Mapping[str, Any]) -> RunLog:
        """Return the log of a run to resume.

        Parameters
        ----------
        path : pathlib.Path
            Path of the file.
        settings : mapping of str
            Settings of the run, which must be the same as at its beginning.

        Raises
        ------
        FlashWasmError
            If there is no such file, or if the run was begun with other settings.
        CorruptFileError
            If the file is not the log of a run.
        """
        try:
            lines = path.read_text("utf-8").splitlines()
        except FileNotFoundError:
            message = f"--resume: there is no {path}; leave out --resume to begin a run"
            raise FlashWasmError(message) from None
        log = cls(path, settings)
        try:
            begun = json.loads(lines[0])["settings"]
            differences = [
                f"{name} was {begun.get(name)!r} and is {log._settings.get(name)!r}"
                for name in {**begun, **log._settings}
                if begun.get(name) != log._settings.get(name)
            ]
            for step in map(json.loads, lines[1:]):
                log._steps[step["step"]] = step["found"]
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
            raise CorruptFileError(f"{path} is not the log of a run: {error!r}") from error
        if differences:
            raise FlashWasmError(
                f"--resume: {path} was begun with other settings: {'; '.join(differences)}; "
                "leave out --resume to begin a new run"
            )
        return log

    @property
    def steps(self) -> int:
        """Number of finished steps."""
        return len(self._steps)

    def found(self, step: str) -> dict[str, Any] | None:
        """Return the results of a step, or None if it is not finished.

        Parameters
        ----------
        step : str
            Name of the step.
        """
        return self._steps.get(step)

    def add(self, step: str, found: dict[str, Any]) -> None:
        """Store the results of a step.

        Parameters
        ----------
        step : str
            Name of the step.
        found : dict
            Results of the step, in JSON types.
        """
        self._steps[step] = found
        self._write()

    def _write(self) -> None:
        """Write the file."""
        lines: list[dict[str, Any]] = [{"settings": self._settings}]
        lines += [{"step": name, "found": found} for name, found in self._steps.items()]
        write_atomically(self._path, [(json.dumps(line) + "\n").encode() for line in lines])
