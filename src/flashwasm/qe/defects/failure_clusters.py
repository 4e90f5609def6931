"""Failures grouped by their signature: exception, file and function."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flashwasm.html_tables import html_table
from flashwasm.object_checks import instance_of
from flashwasm.qe.defects.tracebacks import Failure

__all__ = ["FailureCluster", "cluster_failures", "message_line", "signature_in_words"]


@dataclass(frozen=True)
class FailureCluster:
    """Failures with one signature.

    Attributes
    ----------
    signature : tuple of str
        Exception, file and function.
    members : list of int
        Positions of the failures.
    reason : str
        Description of the signature.
    """

    signature: tuple[str, str, str]
    members: list[int]
    reason: str

    _repr_html_ = html_table


def cluster_failures(failures: Sequence[Failure]) -> list[FailureCluster]:
    """Group failures by exception and innermost frame of the product, the largest group first.

    Parameters
    ----------
    failures : sequence of Failure
        The failures.

    Returns
    -------
    list of FailureCluster

    Raises
    ------
    DTypeError
        If one of them is no `Failure`.
    """
    groups: dict[tuple[str, str, str], list[int]] = {}
    for i, failure in enumerate(failures):
        instance_of(failure, Failure, f"failures[{i}]")
        groups.setdefault(failure.signature, []).append(i)
    return [
        FailureCluster(signature, members, signature_in_words(failures[members[0]]))
        for signature, members in sorted(groups.items(), key=lambda group: -len(group[1]))
    ]


def signature_in_words(failure: Failure) -> str:
    """Return a phrase for a failure's signature, such as "KeyError, without a stack"."""
    exception, path, function = failure.signature
    raised = exception or "no exception that is named"
    if not path:
        return f"{raised}, without a stack"
    if function:
        return f"{raised}, and the innermost frame outside tests is {path} in {function}"
    return f"{raised}, and no frame outside tests: {path}"


def message_line(failure: Failure) -> str:
    """Return the first line of a failure's message that is not empty; "" if there is none.

    Messages of ``numpy.testing`` begin with an empty line, after which pytest marks each with "E".
    """
    if failure.message:
        return failure.message
    marked = [line[1:].strip() for line in failure.text.splitlines() if line.startswith("E ")]
    lines = [line for line in marked if line]
    beginnings = [i for i, line in enumerate(lines) if line == f"{failure.exception}:"]
    return lines[beginnings[-1] + 1] if beginnings and beginnings[-1] + 1 < len(lines) else ""
