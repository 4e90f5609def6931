"""Failures of seeded defects, from a file with a line of JSON for each."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from flashwasm.errors import DTypeError

__all__ = ["LabelledFailure", "read_labelled"]

_LONGEST_LINE = 1 << 24


@dataclass(frozen=True)
class LabelledFailure:
    """A failure and the defect behind it.

    Attributes
    ----------
    text, defect : str
        Text of the failure, and name of the defect.
    test : str
        Test that failed; "" if the file does not name it.
    seeded : tuple of str
        File, line and kind of the change that seeded the defect; empty if the file lacks them.
    """

    text: str
    defect: str
    test: str = ""
    seeded: tuple[str, ...] = ()


def read_labelled(path: str | Path) -> list[LabelledFailure]:
    """Read failures of seeded defects.

    Two defects are merged into one if a change of the same kind in the same line seeded both, and
    the same tests fail: the change was drawn twice.

    Parameters
    ----------
    path : str or pathlib.Path
        File with a line of JSON for each failure, which holds ``text`` and ``defect`` (or
        ``mutant``), and may hold ``test``, and ``file``, ``line`` and ``kind`` of the change.

    Returns
    -------
    list of LabelledFailure

    Raises
    ------
    DTypeError
        If a line does not have this form.
    """
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        # A longer line is cut off and then is not valid JSON, so the file is refused at this line.
        lines = iter(lambda: file.readline(_LONGEST_LINE), "")
        found = [_read_line(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    tests: dict[str, set[str]] = defaultdict(set)
    for one in found:
        tests[one.defect].add(one.test)
    first: dict[Any, str] = {}
    for one in found:
        if one.seeded:
            first.setdefault((one.seeded, frozenset(tests[one.defect])), one.defect)
    return [
        replace(one, defect=first[one.seeded, frozenset(tests[one.defect])]) if one.seeded else one
        for one in found
    ]


def _read_line(line: str, place: str) -> LabelledFailure:
    """Return the failure that a line describes."""
    try:
        row = json.loads(line)
        seeded = tuple(str(row[key]) for key in ("file", "line", "kind") if key in row)
        return LabelledFailure(
            text=str(row["text"]),
            defect=str(row["defect"] if "defect" in row else row["mutant"]),
            test=str(row.get("test", "")),
            seeded=seeded if len(seeded) == 3 else (),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = f"{place}: expected JSON with text and defect, got {line.strip()!r:.80}"
        raise DTypeError(message) from error
