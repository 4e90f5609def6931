"""Name the known defects behind a session's failures in pytest's summary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flashwasm.summaries import are, counted

if TYPE_CHECKING:
    from flashwasm.pytest_plugin.summary import Summary
    from flashwasm.qe.defects.failure_library import FailureLibrary

__all__ = ["KnownDefects"]


class KnownDefects:
    """Hooks that match each failure with a library of known defects.

    Parameters
    ----------
    path : pathlib.Path
        Path of the library.
    summary : Summary
        Lines of the plugin in pytest's summary.
    """

    def __init__(self, path: Path, summary: Summary) -> None:
        self._path = path
        self._summary = summary
        self._library: FailureLibrary | None = None

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self, session: pytest.Session) -> None:
        """Read the library, so that an unusable one is reported even if no test fails."""
        # The workers of pytest-xdist write no summary.
        if not hasattr(session.config, "workerinput"):
            self._summary.guarded("match the failures", self._read)

    def pytest_report_header(self) -> list[str]:
        """Return a line for the head of the output if the library cannot be used."""
        unusable = self._library is None
        return [f"flashwasm: {line}" for line in self._summary.lines] if unusable else []

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the known defects behind the failures."""
        self._summary.guarded("match the failures", lambda: self._match(terminalreporter.stats))

    def _read(self) -> None:
        """Read the library."""
        from flashwasm.qe.defects.failure_library import FailureLibrary

        self._library = FailureLibrary(self._path)

    def _match(self, stats: dict[str, list[Any]]) -> None:
        """Add a line for each failure of a known defect, and a line with the number of new ones."""
        from flashwasm.qe.defects.failure_files import TestFailure
        from flashwasm.qe.defects.tracebacks import read_failure

        failed = [*stats.get("failed", []), *stats.get("error", [])]
        if not failed or self._library is None:
            return
        lines = self._summary.lines
        matches = self._library.match_all(
            [TestFailure(report.nodeid, read_failure(report.longreprtext)) for report in failed]
        )
        for report, found in zip(failed, matches, strict=True):
            if found.status != "new":
                note = f" [{found.note}]" if found.note else ""
                names = " or ".join([str(found.defect), *found.others])
                verb = "may be" if found.status == "perhaps" else "is"
                lines.append(f"{found.status}: {report.nodeid} {verb} {names}{note}")
                lines.append(f"    {found.evidence}")
        if new := sum(found.status == "new" for found in matches):
            failures = f"{new} of {counted(len(failed), 'failures')}"
            lines.append(f"new: {failures} {are(new)} of no known defect")
