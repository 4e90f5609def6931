"""Reads what pytest-reportlog writes: a JSON object a line, one for each report of pytest.

https://github.com/pytest-dev/pytest-reportlog; the objects are those of
``pytest_report_to_serializable``.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from flashwasm.errors import CorruptFileError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["is_report_log", "read_report_log"]

# One report with its traceback and what was printed; a longer line is damage.
_LONGEST_LINE = 64 << 20


def is_report_log(start: bytes) -> bool:
    """Whether a file that begins so is such a log."""
    return start.startswith(b"{") and (b'"$report_type"' in start or b'"pytest_version"' in start)


def read_report_log(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the reports of tests and of collecting as they come.

    Parameters
    ----------
    path : pathlib.Path
        The log.

    Yields
    ------
    dict
        With ``nodeid``, ``outcome``, ``duration`` and ``text``: a failure as pytest prints it.

    Raises
    ------
    CorruptFileError
        If a line is no such report.
    """
    with path.open("rb") as lines:
        number = 0
        while line := lines.readline(_LONGEST_LINE):
            number += 1
            try:
                document = json.loads(line)
                kind = document.get("$report_type", "")
                if kind not in {"TestReport", "CollectReport"}:
                    continue
                yield {
                    "nodeid": str(document["nodeid"]),
                    "outcome": str(document["outcome"]),
                    "duration": float(document.get("duration") or 0),
                    "text": _text(document.get("longrepr")),
                }
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
                raise CorruptFileError(
                    f"{path} is not a whole report log: line {number}: {error}"
                ) from error


def _text(shown: Any) -> str:
    """Return a failure as pytest prints it; a skip, which is a list, has nothing to print."""
    if isinstance(shown, str):
        return shown
    if not isinstance(shown, dict):
        return ""
    parts: list[str] = []
    # Each link of the chain is a traceback, where it crashed, and how it led to the next.
    chain = shown.get("chain") or [[shown.get("reprtraceback"), shown.get("reprcrash"), None]]
    for traceback, crash, link in chain:
        entries = (traceback or {}).get("reprentries", [])
        parts += [line for entry in entries for line in _lines(entry)]
        # With --tb=line and --tb=no the entries do not say where it was.
        if crash and all(entry["data"].get("style") == "line" for entry in entries):
            parts += ["", _place(crash)]
        parts += ["", link, ""] if link else []
    return "\n".join(parts)


def _lines(entry: dict[str, Any]) -> list[str]:
    """Return a frame: in the short style its place comes first, in the long style last."""
    data = entry["data"]
    place = [_place(data["reprfileloc"])] if data.get("reprfileloc") else []
    lines = [str(line) for line in data["lines"]]
    return [*place, *lines] if data.get("style") == "short" else [*lines, "", *place]


def _place(crash: dict[str, Any]) -> str:
    return f"{crash['path']}:{crash['lineno']}: {crash['message']}"
