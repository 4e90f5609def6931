"""A reader of pytest's output: it finds the failures among everything else that pytest prints."""

from __future__ import annotations

import re

from flashwasm.qe.defects.tracebacks import plain

__all__ = ["split_output"]

_HEADING = re.compile(r"^_{3,} (.+?) _{3,}$", re.MULTILINE)
_SECTION = re.compile(r"^=+ (?:FAILURES|ERRORS) =+$", re.MULTILINE)
_SECTION_END = re.compile(r"^=+ (?!FAILURES|ERRORS).* =+$", re.MULTILINE)


def split_output(text: str) -> list[tuple[str, str]]:
    """Return the name of the test and the text, for each failure in pytest's output.

    A text without a section of failures or errors counts as one failure of a test without a name.
    """
    text = plain(text)
    sections = list(_SECTION.finditer(text))
    if not sections:
        return [("", text)]
    parts = []
    for section, following in zip(sections, [*sections[1:], None], strict=True):
        end = _SECTION_END.search(text, section.end())
        stops = [found.start() for found in (end, following) if found is not None]
        body = text[section.end() : min(stops, default=len(text))]
        headings = list(_HEADING.finditer(body))
        ends = [*(heading.start() for heading in headings[1:]), len(body)]
        for heading, stop in zip(headings, ends, strict=False):
            test = re.sub(r"^ERROR at \w+ of ", "", heading[1])
            parts.append((test, body[heading.end() : stop]))
    return parts
