"""The documents that the tools return, which are those that the commands print with ``--json``."""

from typing import TypeAlias

from typing_extensions import NotRequired, TypedDict

__all__ = ["CoverageGaps", "DefectMatches", "DuplicateGroups", "SimilarTests", "TestsFor"]

_Parts: TypeAlias = dict[str, float]


class _Shared(TypedDict):
    """Names and lines of code that both sources contain."""

    shared_identifiers: list[str]
    shared_lines: list[str]


class _Skipped(TypedDict):
    """A file that could not be read, with the reason."""

    path: str
    reason: str


class _SimilarTest(_Shared):
    """A test, and how much more it resembles the query than the average test does.

    The score is in standard deviations, and the sum of its shares.
    """

    nodeid: str
    also: list[str]
    score: float
    propensity: float
    components: _Parts
    shares: _Parts
    path: str
    line: int


class SimilarTests(TypedDict):
    """The answer of `similar`: the tests that resemble the query, the nearest first."""

    query: str
    tests: int
    scorers: list[str]
    missing: list[str]
    changed: NotRequired[list[str]]
    adaptation: int | None
    matches: list[_SimilarTest]
    skipped: list[_Skipped]


class _PlacedTest(TypedDict):
    """A test, and the line on which it begins."""

    nodeid: str
    also: list[str]
    path: str
    line: int


class _DuplicateGroup(_Shared):
    """Duplicate tests. ``suggestion`` is one parametrised test that could replace them."""

    tier: int
    kind: str
    reason: str
    tests: list[_PlacedTest]
    suggestion: str | None
    fingerprint: str


class DuplicateGroups(TypedDict):
    """The answer of `duplicates`."""

    tests: int
    groups: list[_DuplicateGroup]
    left_out: int
    changed: NotRequired[list[str]]
    skipped: list[_Skipped]


class _ChosenTest(_Shared):
    """A test that the change may reach, and why."""

    nodeid: str
    also: list[str]
    level: str
    score: float
    reason: str
    components: _Parts
    cases: NotRequired[int]


class TestsFor(TypedDict):
    """The answer of `tests_for`.

    ``files`` are test files that could not be read, and have to run as a whole. ``sure_left_out``
    are tests that the change may reach and that were not chosen.
    """

    tests: list[_ChosenTest]
    files: list[str]
    ran: bool
    exit_status: int | None
    coverage: str | None
    left_out: int
    left_out_reason: str
    sure_left_out: list[str]
    everything: str | None
    uncovered: dict[str, list[int]]
    unmeasured: list[str]
    layout: list[str]
    unknown_cases: list[str]
    missing: list[str]
    skipped: list[_Skipped]


class _JudgedFailure(_Shared):
    """A failure, and the known defect that seems to cause it."""

    test: str | None
    exception: str
    status: str
    defect: str | None
    evidence: str
    score: float | None
    note: str
    components: _Parts
    evidence_for: list[str]
    evidence_against: list[str]
    others: list[str]


class DefectMatches(TypedDict):
    """The answer of `defects_match`. ``counted`` is the number that pytest's summary gives."""

    library: str
    missing: list[str]
    failures: list[_JudgedFailure]
    counts: dict[str, int]
    flaky: int
    flaky_tests: list[str]
    counted: int | None
    notes: list[str]


class _Gap(TypedDict):
    """Statements of a function that no test runs, and the test to extend."""

    path: str
    function: str
    lines: list[int]
    lines_outside_tests: list[int]
    last_line: int
    nearest_test: str | None
    nearest_lines: list[int]
    untested: bool
    risk: float
    components: _Parts


class CoverageGaps(TypedDict):
    """The answer of `coverage_gap`.

    ``unread`` are files of the database that cannot be read, ``changed`` those that changed since
    it was recorded, so that their lines may be wrong. Gaps are not searched in ``outside``, files
    of the database that are not below the root, nor in ``unmeasured``, files of the measured
    packages that are not in the database.
    """

    gaps: list[_Gap]
    unread: list[str]
    changed: list[str]
    outside: list[str]
    unmeasured: list[str]
