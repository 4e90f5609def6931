"""Findings as one HTML file: no scripts, nothing loaded from elsewhere, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from flashwasm import __version__
from flashwasm.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    from flashwasm.qe.coverage.gaps import Gap
    from flashwasm.qe.defects.failure_clusters import FailureCluster
    from flashwasm.qe.defects.failure_files import TestFailure
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup

__all__ = ["clusters_page", "duplicates_page", "gaps_page", "write_page"]

_TIERS = ("the same body", "the same but for literals", "the same coverage, and similar text")
# Characters of a traceback that are shown.
_END = 2000
_STYLE = (
    "body{font:15px/1.4 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em}"
    "pre{background:#8881;padding:.6em;overflow:auto}li{overflow-wrap:anywhere}"
    "summary{cursor:pointer;padding:.2em 0}td{vertical-align:top;padding:.2em 1em .2em 0}"
)


def duplicates_page(groups: Sequence[DuplicateGroup], place: Path) -> str:
    """Return groups of duplicate tests, by tier.

    Parameters
    ----------
    groups : sequence of DuplicateGroup
        The findings.
    place : pathlib.Path
        What was looked at.
    """
    parts = []
    for tier, name in enumerate(_TIERS, 1):
        own = [group for group in groups if group.tier == tier]
        parts += [f"<h2>{_text(name)}: {len(own)}</h2>"] if own else []
        for group in own:
            tests = [f"{test.nodeid} (line {test.line})" for test in group.tests]
            summary = f"{len(tests)} tests: {group.reason}"
            body = _list(tests)
            if group.suggestion:
                body += f"<p>They could be one test:</p><pre>{_text(group.suggestion)}</pre>"
            parts.append(_folded(summary, body))
    return _page(f"Duplicates in {place}", parts)


def clusters_page(clusters: Sequence[FailureCluster], failures: Sequence[TestFailure]) -> str:
    """Return groups of failures, the largest first, each with why it is one.

    Parameters
    ----------
    clusters : sequence of FailureCluster
        The groups.
    failures : sequence of TestFailure
        What their members are positions of.
    """
    parts = []
    for group in clusters:
        own = [failures[i] for i in group.members]
        body = _list(f"{one.test or '-'}: {one.failure.message}" for one in own)
        end = _text(own[0].failure.text[-_END:])
        body += f"<p>The first of them ends with:</p><pre>{end}</pre>"
        parts.append(_folded(f"{len(own)} failures: {group.reason}", body))
    return _page(f"{len(failures)} failures in {len(clusters)} groups", parts)


def gaps_page(gaps: Sequence[Gap]) -> str:
    """Return what no test runs, the riskiest first.

    Parameters
    ----------
    gaps : sequence of Gap
        The gaps.
    """
    rows = []
    for gap in gaps:
        factors = ", ".join(f"{name} {value:.2f}" for name, value in gap.components.items())
        lines = ", ".join(map(str, gap.lines))
        cells = (f"{gap.risk:.2f}", f"{gap.path}: {gap.function}", lines, factors)
        rows.append([*cells, gap.nearest_test or "no test is near"])
    headings = ("risk", "function", "lines", "factors", "test to extend")
    head = "".join(f"<th>{_text(name)}</th>" for name in headings)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return _page(f"{len(gaps)} functions with lines that no test runs", [table])


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all."""
    write_atomically(path, [page.encode("utf-8", "backslashreplace")])


def _page(title: str, parts: Iterable[str]) -> str:
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{_text(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><h1>{_text(title)}</h1>\n" + "\n".join(parts) + f"\n<p><small>flashwasm "
        f"{_text(__version__)}</small></p></body></html>\n"
    )


def _folded(summary: str, body: str) -> str:
    return f"<details><summary>{_text(summary)}</summary>{body}</details>"


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{_text(item)}</li>' for item in items)}</ul>"


def _text(text: str) -> str:
    """Escape a text; control characters, which HTML cannot hold, become replacement marks."""
    return escape("".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in text))
