"""A library of named defects, which classifies failures as new, known or regressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm.errors import ShapeError
from flashwasm.object_checks import checked_text, instance_of
from flashwasm.qe.defects.failure_files import TestFailure
from flashwasm.qe.defects.known_failures import KnownFailures
from flashwasm.qe.defects.library_file import (
    APPLICATION_ID,
    VERSION,
    add_failures,
    create_library,
    is_empty,
    read_library,
)
from flashwasm.qe.defects.library_merging import merge_libraries
from flashwasm.qe.defects.tracebacks import Failure, read_failure
from flashwasm.storage.file_paths import checked_path, checked_paths
from flashwasm.summaries import counted, summary
from flashwasm.validation import flag

if TYPE_CHECKING:
    from flashwasm.qe.defects.defect_verdict import DefectMatch

__all__ = ["FailureLibrary"]


class FailureLibrary:
    """Defects and the failures that they caused, in a SQLite file.

    Parameters
    ----------
    path : str or pathlib.Path
        Path of the file.
    create : bool, default False
        True to create the file if it does not exist.

    Raises
    ------
    ShapeError
        If there is no such file.
    ShapeError, DTypeError
        By every method, if an argument is out of range or of the wrong type.
    CorruptFileError
        If the file is damaged, or is not such a library.
    """

    APPLICATION_ID = APPLICATION_ID
    VERSION = VERSION

    def __init__(self, path: str | Path, *, create: bool = False) -> None:
        self.path = checked_path(path)
        flag(create, "create")
        # Another process may create the file between any two of these lines.
        if create and not self.path.exists():
            create_library(self.path)
        if not self.path.is_file():
            raise ShapeError(
                f"library {str(self.path)!r} does not exist or is not a file; "
                "`flashwasm defects learn` makes one"
            )
        if create and is_empty(self.path):
            create_library(self.path)
        self._known = KnownFailures(*read_library(self.path))

    @classmethod
    def merge(cls, path: str | Path, libraries: Sequence[str | Path]) -> FailureLibrary:
        """Write the union of several libraries to one file, and return it.

        Defects with the same name are merged, with the failures of all. A merged defect is open if
        it is open in any library. Its note is the first note in the libraries.

        Parameters
        ----------
        path : str or pathlib.Path
            Path of the file to write or replace. It may be one of the libraries.
        libraries : sequence of str or pathlib.Path
            Paths of the libraries, at least one.

        Raises
        ------
        ShapeError
            If ``libraries`` is empty, or a file does not exist.
        OSError
            If the file cannot be written. Then it stays unchanged.
        """
        target, files = checked_path(path), checked_paths(libraries, "libraries")
        for file in files:
            if not file.is_file():
                raise ShapeError(
                    f"libraries: {str(file)!r} does not exist or is not a file; expected a library"
                )
        merge_libraries(target, files)
        return cls(target)

    def __repr__(self) -> str:
        held = counted(len(self), "defects"), counted(self.occurrences, "failures")
        return summary(self, repr(str(self.path)), *held)

    def __len__(self) -> int:
        return len(self._known.defects)

    @property
    def occurrences(self) -> int:
        """Number of failures in the library."""
        return len(self._known.occurrences)

    @property
    def texts(self) -> list[str]:
        """Ends of the failures' texts."""
        return [occurrence.text for occurrence in self._known.occurrences]

    @property
    def defects(self) -> dict[str, bool]:
        """Names of the defects, each with True if the defect is resolved."""
        return {defect.name: defect.resolved for defect in self._known.defects}

    @property
    def missing(self) -> list[str]:
        """Missing packages for comparing texts: none, because this requires no package."""
        return []

    def learn(
        self,
        name: str,
        failures: Sequence[Failure | TestFailure],
        *,
        resolved: bool = False,
        note: str = "",
    ) -> int:
        """Add failures to a defect, which is created if it does not exist.

        Parameters
        ----------
        name : str
            Name of the defect.
        failures : sequence of Failure or TestFailure
            Failures that it caused. If they include the tests, as from `read_failures`, later
            failures can be matched by test. Failures that are already in the library are not added
            again.
        resolved : bool, default False
            True to mark the defect as resolved, False to mark it as open, even if it was resolved.
        note : str, optional
            Text that replaces the defect's note; "" keeps the note.

        Returns
        -------
        int
            Number of added failures. They survive a crash of the process and a loss of power.

        Raises
        ------
        ShapeError
            If the name is empty.
        OSError
            If the file cannot be written. Then it stays unchanged.
        """
        resolved = flag(resolved, "resolved")
        checked_text(note, "note")
        if not checked_text(name, "name").strip():
            raise ShapeError("name is empty; expected a defect's name")
        added = add_failures(
            self.path, {name: list(map(_with_test, failures))}, resolved=resolved, note=note
        )
        self._known = KnownFailures(*read_library(self.path))
        return added

    def learn_all(self, defects: Mapping[str, Sequence[Failure | TestFailure]]) -> None:
        """Add the failures of many open defects in one transaction.

        Parameters
        ----------
        defects : mapping of str to sequence of Failure or TestFailure
            Failures by the name of the defect.
        """
        instance_of(defects, Mapping, "defects")
        for name in defects:
            checked_text(name, "name")
        named = {name: list(map(_with_test, failures)) for name, failures in defects.items()}
        add_failures(self.path, named)
        self._known = KnownFailures(*read_library(self.path))

    def match(self, failure: Failure | TestFailure | str, *, test: str = "") -> DefectMatch:
        """Compare a failure with the library, as the only failure of its run.

        Parameters
        ----------
        failure : Failure, TestFailure or str
            The failure, with or without its test, or the text of the failure.
        test : str, optional
            Node id of the test, if ``failure`` does not contain it.

        Returns
        -------
        DefectMatch
        """
        checked_text(test, "test")
        if isinstance(failure, str):
            failure = read_failure(failure)
        known_test, alone = _with_test(failure)
        return self._known.match([(test or known_test, alone)])[0]

    def match_all(self, failures: Sequence[Failure | TestFailure]) -> list[DefectMatch]:
        """Compare all failures of a run with the library.

        A failure is recognised by the product function that raised the exception. It is also
        recognised by its test, if the test fails with the same message as before and most tests
        that failed because of the defect fail again. The guide has the exact rules.

        Parameters
        ----------
        failures : sequence of Failure or TestFailure
            The failures, as `read_failures` returns them.

        Returns
        -------
        list of DefectMatch
            Results in the order of the failures.
        """
        return self._known.match(list(map(_with_test, failures)))


def _with_test(failure: Failure | TestFailure) -> tuple[str, Failure]:
    """Return the node id of a failure's test, or "", and the failure."""
    instance_of(failure, (TestFailure, Failure), "failure")
    if isinstance(failure, TestFailure):
        return failure.test, failure.failure
    return "", failure
