"""Cases of parametrised tests, which the commands print as one line if all of them are found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from flashwasm.cli.output import echo_named, print_table
from flashwasm.qe.suites.node_id_lookup import without_parameters
from flashwasm.summaries import counted

__all__ = ["CaseGroups", "Cases", "number_of_tests", "print_cases"]


class Cases(NamedTuple):
    """All cases of a test, or a single case of it.

    Parameters
    ----------
    name : str
        Node id of the test, without parameters if there are several cases.
    nodeids : list of str
        Node ids of the cases.
    """

    name: str
    nodeids: list[str]

    def lines(self, of: Mapping[str, Iterable[int]]) -> list[int]:
        """Return the lines that any of the cases has in a mapping from node ids to lines."""
        return sorted({line for nodeid in self.nodeids for line in of[nodeid]})

    def echo(self, before: str = "", *, indent: str = "") -> None:
        """Print the name after a text such as a score, and the number of cases if several."""
        number = len(self.nodeids)
        echo_named(before, self.name, f"({number:,} cases)" * (number > 1), indent=indent)


class CaseGroups:
    """Groups the cases of each test.

    Parameters
    ----------
    known : iterable of str
        Node ids of all cases.

    Examples
    --------
    >>> known = ["a.py::test_a[1]", "a.py::test_a[2]", "a.py::test_b[1]", "a.py::test_b[2]"]
    >>> [(one.name, len(one.nodeids)) for one in CaseGroups(known).together(known[:3])]
    [('a.py::test_a', 2), ('a.py::test_b[1]', 1)]
    """

    def __init__(self, known: Iterable[str]) -> None:
        self._numbers = Counter(map(without_parameters, known))

    def together(
        self, found: Iterable[str], about: Callable[[str], object] | None = None
    ) -> list[Cases]:
        """Return node ids, with the cases of a test together if all of its cases are among them.

        Parameters
        ----------
        found : iterable of str
            Node ids of cases, in order.
        about : callable, optional
            Function of a node id. Cases stay apart if it returns different values for them.
        """
        tests: dict[str, list[str]] = {}
        for nodeid in found:
            tests.setdefault(without_parameters(nodeid), []).append(nodeid)
        groups: list[Cases] = []
        for test, nodeids in tests.items():
            whole = 1 < len(nodeids) == self._numbers[test]
            if whole and (about is None or len(set(map(about, nodeids))) == 1):
                groups.append(Cases(test, nodeids))
            else:
                groups += [Cases(nodeid, [nodeid]) for nodeid in nodeids]
        return groups


def number_of_tests(nodeids: Sequence[str]) -> str:
    """Return in words how many tests some node ids are of, and how many cases if there are more.

    Examples
    --------
    >>> number_of_tests(["test_a", "test_b[1]"]), number_of_tests(["test_a[1]", "test_a[2]"])
    ('2 tests', '2 cases of 1 test')
    """
    tests = counted(len(set(map(without_parameters, nodeids))), "tests")
    cases = f"{counted(len(nodeids), 'cases')} of {tests}"
    return tests if tests == counted(len(nodeids), "tests") else cases


def print_cases(columns: Sequence[str], rows: Sequence[tuple[Sequence[str], Cases]]) -> None:
    """Print a table of tests, with the number of cases if some of them have several.

    Parameters
    ----------
    columns : sequence of str
        Headings of the columns before the test. The first may be wrapped.
    rows : sequence of tuple of (sequence of str, Cases)
        Cells of each row before the test, and the test.
    """
    headings, cells = [*columns, "test"], [[*before, one.name] for before, one in rows]
    if any(len(one.nodeids) > 1 for _, one in rows):
        headings.append("cases")
        for row, (_, one) in zip(cells, rows, strict=True):
            row.append(f"{len(one.nodeids):,}")
    print_table(headings, cells, prose=columns[:1])
