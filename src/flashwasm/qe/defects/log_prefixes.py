"""Removal of the time stamps or indents that CI services write before each line of a log."""

from __future__ import annotations

import re

__all__ = ["without_prefix"]

# Lines that identify the output of pytest or unittest, or a traceback.
_RULE = (
    r"=+ (?:test session starts|FAILURES|ERRORS|short test summary info) =+$"
    r"|={70}$"
    r"|(?:=+ )?\d+ (?:passed|failed|errors?|skipped)\b[^=]* in \d+\.\d+s(?: \([\d:]+\))?(?: =+)?$"
)
_REPORT = re.compile(_RULE)
_MARK = re.compile(_RULE + r"|Traceback \(most recent call last\):$")
_TIME = re.compile(r"\d\d?:\d\d")
# pytest writes E, and Python | and +, before lines of a message or of a group of exceptions.
_NOT_A_PREFIX = re.compile(r"^[E>+|\-\s]*[E>+|\-]\s*$")
# Minimum share of the lines, from the first mark to the last, with the same prefix as the first.
_LEAST_SHARE = 0.9


def without_prefix(text: str) -> str | None:
    r"""Remove the prefix that a CI service writes before each line.

    Parameters
    ----------
    text : str
        The log, without colours.

    Returns
    -------
    str or None
        The unchanged text if its lines have no prefix; None if lines of a report have prefixes, but
        not of the same kind.

    Examples
    --------
    >>> log = "[6:14:54 AM]  = FAILURES =\n[6:14:55 AM]  _ test_a _"
    >>> without_prefix(log)
    '= FAILURES =\n_ test_a _'
    """
    lines = text.split("\n")
    if any(map(_REPORT.match, lines)):
        return text
    marked = [
        (i, line[: found.start()])
        for i, line in enumerate(lines)
        if (found := _MARK.search(line)) and not _NOT_A_PREFIX.match(line[: found.start()])
    ]
    # A traceback without a prefix may contain indented source, but no time stamps.
    if any(map(_MARK.match, lines)):
        marked = [(i, prefix) for i, prefix in marked if _TIME.search(prefix)]
    if not marked:
        return text
    kinds = {_pattern(prefix): prefix for _, prefix in marked}
    shown = [line for line in lines[marked[0][0] : marked[-1][0] + 1] if line.strip()]
    for kind, prefix in kinds.items():
        pattern = re.compile(kind)
        fitting = sum(bool(pattern.match(line)) for line in shown)
        if fitting >= _LEAST_SHARE * len(shown) and (len(shown) > 1 or _TIME.search(prefix)):
            return "\n".join(pattern.sub("", line, count=1) for line in lines)
    return None if any(_TIME.search(prefix) for prefix in kinds.values()) else text


def _pattern(prefix: str) -> str:
    """Return a pattern for prefixes that differ only in digits and in AM or PM.

    Services strip trailing spaces of an empty line, so these may be missing.
    """
    bare = prefix.rstrip()
    parts = [
        r"\d+" if part.isdigit() else "[AP]M" if part in {"AM", "PM"} else re.escape(part)
        for part in re.split(r"(\d+|\b[AP]M\b)", bare)
    ]
    spaces = len(prefix) - len(bare)
    if not bare:
        return f"^[ \\t]{{{spaces}}}"
    return "^" + "".join(parts) + f"(?:[ \\t]{{{spaces}}}|[ \\t]*$)"
