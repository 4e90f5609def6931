"""Name the known defects behind a session's failures in pytest's summary."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flashwasm.summaries import are, counted

if TYPE_CHECKING:
    from flashwasm.pytest_plugin.summary import Summary

__all__ = ["KnownDefects"]


class KnownDefects:
    """Hooks that match each failure with a library of known defects.

    Parameters
    ----------
    library : str
        Path of the library.
    summary : Summary
        Lines of the plugin in pytest's summary.
    """

    def __init__(self, library: str, summary: Summary) -> None:
        self._library = library
        self._summary = summary

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Name the known defects behind the failures."""
        self._summary.guarded("match the failures", lambda: self._match(terminalreporter.stats))

    def _match(self, stats: dict[str, list[Any]]) -> None:
        """Add a line for each failure of a known defect, and a line with the number of new ones."""
        from flashwasm.qe.defects.failure_files import TestFailure
        from flashwasm.qe.defects.failure_library import FailureLibrary
        from flashwasm.qe.defects.tracebacks import read_failure

        failed = [*stats.get("failed", []), *stats.get("error", [])]
        if not failed:
            return
        lines = self._summary.lines
        matches = FailureLibrary(self._library).match_all(
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
