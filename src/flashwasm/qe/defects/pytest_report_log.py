"""A reader of the logs of pytest-reportlog, which have one JSON object a line for each report.

https://github.com/pytest-dev/pytest-reportlog; the objects are from pytest's hook
``pytest_report_to_serializable``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from flashwasm.errors import CorruptFileError

__all__ = ["is_report_log", "read_log_results", "read_report_log", "start_of"]

# Maximum length of a line, which contains one report with its traceback and captured output. A
# longer line is damage.
_LONGEST_LINE = 64 << 20
# Outcomes that plugins report for a failed attempt before another attempt.
_RUN_AGAIN = {"rerun", "retried"}


def start_of(file: Path) -> bytes:
    """Return the first bytes of a file, which identify the kind of report."""
    with file.open("rb") as stream:
        return stream.read(4096)


def is_report_log(start: bytes) -> bool:
    """Return True if a file that begins with ``start`` is a log of pytest-reportlog."""
    return start.startswith(b"{") and (b'"$report_type"' in start or b'"pytest_version"' in start)


def read_report_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the reports of tests and of collection, in the order of the log.

    Parameters
    ----------
    path : pathlib.Path
        The log.

    Yields
    ------
    dict
        A report with ``nodeid``, ``outcome``, ``duration`` in seconds, ``when`` (setup, call,
        teardown or None), ``worker`` (the process of pytest-xdist, or ""), and ``text``: the
        failure as pytest prints it, "" if there is none.

    Raises
    ------
    CorruptFileError
        If a line is not a report.
    """
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            try:
                document = json.loads(line)
                # A report of a subtest names its type by the second key.
                kind = document.get("$report_type") or document.get("_report_type")
                if kind not in {"TestReport", "CollectReport", "SubTestReport"}:
                    continue
                yield {
                    "nodeid": str(document["nodeid"]),
                    "outcome": str(document["outcome"]),
                    # The time of a subtest is part of the test's.
                    "duration": float(document.get("duration") or 0) * (kind != "SubTestReport"),
                    "when": str(document.get("when")),
                    "worker": str(document.get("worker_id", "")),
                    "text": _text(document.get("longrepr")),
                }
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise CorruptFileError(
                    f"{path} is not a whole report log: line {number}: {error}; run the tests again"
                ) from error


def read_log_results(path: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """Read the failures and the flaky tests of a log.

    A second setup of a test begins another attempt. Only the last attempt counts.

    Returns
    -------
    failures : list of tuple of str
        Node id and text of each report that failed.
    flaky : list of str
        Tests that failed and passed in a later attempt.
    """
    failed: dict[tuple[str, str], list[str]] = {}
    again: dict[tuple[str, str], bool] = {}  # Tests of an attempt that failed: True if one passed.
    for report in read_report_log(path):
        # pytest-xdist may run a test once in each of its processes, which are not attempts.
        test = (report["nodeid"], report["worker"])
        if report["when"] == "setup" and failed.pop(test, None):
            again[test] = False
        if report["outcome"] == "failed":
            failed.setdefault(test, []).append(report["text"])
        elif report["outcome"] in _RUN_AGAIN:
            again[test] = False
        elif report["outcome"] == "passed" and report["when"] == "call" and test in again:
            again[test] = True
    failures = [(nodeid, text) for (nodeid, _), texts in failed.items() for text in texts]
    flaky = [test[0] for test, passed in again.items() if passed and test not in failed]
    return failures, flaky


def _text(shown: Any) -> str:
    """Return a failure as pytest prints it; "" for a skip, which is a list in the log."""
    if isinstance(shown, str):
        return shown
    if not isinstance(shown, dict):
        return ""
    parts: list[str] = []
    # A chain of exceptions is a list of traceback, place of the crash, and the sentence about the
    # link to the next exception.
    chain = shown.get("chain") or [[shown.get("reprtraceback"), shown.get("reprcrash"), None]]
    for traceback, crash, link in chain:
        entries = (traceback or {}).get("reprentries", [])
        parts += [line for entry in entries for line in _lines(entry)]
        # With --tb=line and --tb=no, the entries contain no place.
        if crash and all(entry["data"].get("style") == "line" for entry in entries):
            parts += ["", _place(crash)]
        parts += ["", link, ""] if link else []
    return "\n".join(parts)


def _lines(entry: dict[str, Any]) -> list[str]:
    """Return the lines of a frame. The place is the first line in short style, else the last."""
    data = entry["data"]
    place = [_place(data["reprfileloc"])] if data.get("reprfileloc") else []
    lines = [str(line) for line in data["lines"]]
    return [*place, *lines] if data.get("style") == "short" else [*lines, "", *place]


def _place(crash: dict[str, Any]) -> str:
    """Return a place as ``path:line: message``."""
    return f"{crash['path']}:{crash['lineno']}: {crash['message']}"
