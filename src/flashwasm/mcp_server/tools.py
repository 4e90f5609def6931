"""The server and its tools, each of which runs the command of its name."""

from pathlib import Path
from typing import Annotated, Any, TypeAlias

from mcp.server import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from flashwasm import __version__
from flashwasm.mcp_server.answers import (
    CoverageGaps,
    DefectMatches,
    DuplicateGroups,
    SimilarTests,
    TestsFor,
)
from flashwasm.mcp_server.command_process import answer

__all__ = ["SERVER", "coverage_gap", "defects_match", "duplicates", "selected_tests", "similar"]

SERVER: MCPServer[Any] = MCPServer(
    "flashwasm",
    version=__version__,
    instructions="Questions about a pytest suite: which tests resemble a description, do the same, "
    "or must run for a change; which known defect a failure is; which lines no test runs. Paths "
    "may be relative to the folder in which the server was started. No tool runs the tests.",
)
# A search by meaning keeps embeddings in the user's cache folder, and no other file is written.
_READS_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Suite: TypeAlias = Annotated[
    str, Field(description="Folder or file of pytest tests, or a file of `flashwasm index build`.")
]
Database: TypeAlias = Annotated[
    str | None,
    Field(description="A coverage.py database with test contexts, as `pytest --fw-record` makes."),
]
Diff: TypeAlias = Annotated[
    str | None, Field(description="The change as a unified diff. Give this or `since`.")
]
Revision: TypeAlias = Annotated[
    str | None,
    Field(description="Revision of git; the change is all that differs from it. Or give `diff`."),
]
Count: TypeAlias = Annotated[int, Field(ge=1, description="Largest number of results.")]


@SERVER.tool(annotations=_READS_ONLY)
async def similar(
    path: Suite,
    query: Annotated[
        str, Field(description="A test's node id or the end of one, a file, or words.")
    ],
    count: Count = 10,
    coverage: Database = None,
) -> SimilarTests:
    """Find the tests of a suite that resemble a test or a description, the nearest first."""
    found: SimilarTests = await answer(
        "similar",
        _absolute(path),
        f"--query={query}",
        f"-k{count}",
        "--explain",
        *_option("--coverage", coverage),
    )
    return found


@SERVER.tool(annotations=_READS_ONLY)
async def duplicates(path: Suite, coverage: Database = None) -> DuplicateGroups:
    """Find tests of a suite that do the same, with the parametrised test that could replace them.

    With coverage, tests that run the same lines and have similar text are found, too.
    """
    found: DuplicateGroups = await answer(
        "duplicates", _absolute(path), "--explain", *_option("--coverage", coverage)
    )
    return found


@SERVER.tool("tests_for", annotations=_READS_ONLY)
async def selected_tests(
    path: Suite, diff: Diff = None, since: Revision = None, coverage: Database = None
) -> TestsFor:
    """List every test that a change may reach, the most relevant first. None of them is run.

    Run the tests of `tests` and the whole of each file in `files`.
    """
    if (diff is None) == (since is None):
        raise ToolError("give the change: either diff or since")
    change = "--diff=-" if since is None else f"--since={since}"
    found: TestsFor = await answer(
        "tests-for",
        _absolute(path),
        change,
        "--explain",
        *_option("--coverage", coverage),
        stdin=diff or "",
    )
    return found


@SERVER.tool(annotations=_READS_ONLY)
async def defects_match(
    library: Annotated[
        str, Field(description="Library of known defects, which `flashwasm defects learn` makes.")
    ],
    report: Annotated[
        str,
        Field(description="Text of a traceback, or the output of pytest. Give this or `files`."),
    ] = "",
    files: Annotated[
        list[str],
        Field(description="JUnit XML, logs of pytest-reportlog, or outputs of pytest."),
    ] = [],  # noqa: B006 - The schema of the tool needs the default, and nothing changes it.
) -> DefectMatches:
    """Say which failures are new, which are of known defects, and which are regressions."""
    if bool(report) == bool(files):
        raise ToolError("give the failures: either report or files")
    found: DefectMatches = await answer(
        "defects",
        "match",
        *(map(_absolute, files) if files else ["-"]),
        f"--library={_absolute(library)}",
        "--explain",
        stdin=report,
    )
    return found


@SERVER.tool(annotations=_READS_ONLY)
async def coverage_gap(
    coverage: Annotated[str, Field(description="A coverage.py database with test contexts.")],
    root: Annotated[
        str, Field(description="Folder that relative paths in the database start from.")
    ] = ".",
    diff: Annotated[
        str | None, Field(description="A unified diff: only lines that it adds are looked at.")
    ] = None,
    count: Count = 10,
) -> CoverageGaps:
    """List lines of functions that no test runs, the riskiest first, and the test to extend."""
    found: CoverageGaps = await answer(
        "coverage",
        "gap",
        f"--coverage={_absolute(coverage)}",
        f"--root={_absolute(root)}",
        f"-k{count}",
        *([] if diff is None else ["--diff=-"]),
        stdin=diff or "",
    )
    return found


def _absolute(path: str) -> str:
    """Return a path that no command takes for an option, even if its name begins with a dash."""
    return str(Path(path).absolute())


def _option(name: str, path: str | None) -> list[str]:
    """Return the argument for a path, if there is one."""
    return [] if path is None else [f"{name}={_absolute(path)}"]
