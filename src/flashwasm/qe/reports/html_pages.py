"""Findings as one HTML file: no scripts, nothing loaded from elsewhere, every text escaped.

The pages are Jinja2 templates in the folder ``templates``; all extend ``layout.html``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flashwasm import __version__
from flashwasm.optional_packages import optional_module
from flashwasm.storage.atomic_files import write_atomically

if TYPE_CHECKING:
    from flashwasm.qe.coverage.gaps import Gap
    from flashwasm.qe.defects.failure_clusters import FailureCluster
    from flashwasm.qe.defects.failure_files import TestFailure
    from flashwasm.qe.duplicates.duplicate_groups import DuplicateGroup

__all__ = ["clusters_page", "duplicates_page", "gaps_page", "write_page"]

_TIERS = ("the same body", "the same but for literals", "the same coverage, and similar text")
# Characters of a traceback that a page shows.
_TEXT_END = 2000


def duplicates_page(groups: Sequence[DuplicateGroup], place: Path) -> str:
    """Return a page of groups of duplicate tests, by tier.

    Parameters
    ----------
    groups : sequence of DuplicateGroup
        The findings.
    place : pathlib.Path
        Folder or file whose tests were compared.
    """
    by_tier = [
        (name, [group for group in groups if group.tier == tier])
        for tier, name in enumerate(_TIERS, 1)
    ]
    tiers = [(name, own) for name, own in by_tier if own]
    return _render("duplicates.html", title=f"Duplicates in {place}", tiers=tiers)


def clusters_page(clusters: Sequence[FailureCluster], failures: Sequence[TestFailure]) -> str:
    """Return a page of groups of failures, the largest first, each with its reason.

    Parameters
    ----------
    clusters : sequence of FailureCluster
        The groups.
    failures : sequence of TestFailure
        The failures, to which the members of the groups refer by position.
    """
    shown = []
    for cluster in clusters:
        members = [failures[i] for i in cluster.members]
        shown.append((cluster.reason, members, members[0].failure.text[-_TEXT_END:]))
    title = f"{len(failures)} failures in {len(clusters)} groups"
    return _render("clusters.html", title=title, clusters=shown)


def gaps_page(gaps: Sequence[Gap]) -> str:
    """Return a page of the lines that no test runs, the riskiest function first.

    Parameters
    ----------
    gaps : sequence of Gap
        The gaps.
    """
    title = f"{len(gaps)} functions with lines that no test runs"
    return _render("gaps.html", title=title, gaps=gaps)


def write_page(path: Path, page: str) -> None:
    """Write a page, whole or not at all.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file to write.
    page : str
        The page.
    """
    write_atomically(path, [page.encode("utf-8", "backslashreplace")])


def _render(template: str, **values: Any) -> str:
    """Fill in a template. Raise CapabilityError if Jinja2 is not installed."""
    jinja2 = optional_module("jinja2", "Jinja2")

    def printable(value: Any) -> Any:
        """Replace control characters, which HTML cannot hold. Leave Jinja2's markup as it is."""
        if isinstance(value, str) and not hasattr(value, "__html__"):
            return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
        return value

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=printable,
    )
    page: str = environment.get_template(template).render(version=__version__, **values)
    return page
