"""The server and its tools, each of which runs the command of the same name."""

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
    instructions="Answers questions about a pytest suite: tests similar to a description, "
    "duplicate tests, tests to run for a change, known defects behind failures, and lines that no "
    "test runs. Paths may be relative to the folder in which the server was started. No tool runs "
    "the tests.",
)
# The only files that a tool writes are embeddings, in the user's cache folder.
_READS_ONLY = ToolAnnotations(read_only_hint=True, open_world_hint=False)

Suite: TypeAlias = Annotated[
    str,
    Field(
        description="Folder or file of pytest tests, or an index file made by "
        "`flashwasm index build`."
    ),
]
Database: TypeAlias = Annotated[
    str | None,
    Field(description="A coverage.py database with test contexts, made by `pytest --fw-record`."),
]
Diff: TypeAlias = Annotated[
    str | None, Field(description="The change as a unified diff. Give either this or `since`.")
]
Revision: TypeAlias = Annotated[
    str | None,
    Field(
        description="Git revision; the change is the difference from it. Give either this or "
        "`diff`."
    ),
]
Count: TypeAlias = Annotated[int, Field(ge=1, description="Maximum number of results.")]


@SERVER.tool(annotations=_READS_ONLY)
async def similar(
    path: Suite,
    query: Annotated[
        str, Field(description="A test's node id or the end of one, a file, or free text.")
    ],
    count: Count = 10,
    coverage: Database = None,
) -> SimilarTests:
    """Find the tests most similar to a test or a description, the most similar first."""
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
    """Find groups of duplicate tests, with the parametrised test that could replace them.

    With coverage, this also finds tests that run the same lines and have similar text.
    """
    found: DuplicateGroups = await answer(
        "duplicates", _absolute(path), "--explain", *_option("--coverage", coverage)
    )
    return found


@SERVER.tool("tests_for", annotations=_READS_ONLY)
async def selected_tests(
    path: Suite, diff: Diff = None, since: Revision = None, coverage: Database = None
) -> TestsFor:
    """List every test that a change may reach, the most relevant first, without running any.

    To test the change, run the tests in `tests` and all tests in each file of `files`.
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
        str, Field(description="Library of known defects, made by `flashwasm defects learn`.")
    ],
    report: Annotated[
        str,
        Field(
            description="Text of a traceback, or the output of pytest. Give either this or `files`."
        ),
    ] = "",
    files: Annotated[
        list[str],
        Field(description="JUnit XML, logs of pytest-reportlog, or outputs of pytest."),
    ] = [],  # noqa: B006 - The schema of the tool needs the default, and nothing changes it.
) -> DefectMatches:
    """Classify each failure: of a new defect, of a known one, or a regression."""
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
        str, Field(description="Folder of the sources; relative paths in the database start there.")
    ] = ".",
    diff: Annotated[
        str | None, Field(description="A unified diff; only lines that it adds are reported.")
    ] = None,
    count: Count = 10,
) -> CoverageGaps:
    """List the parts of functions that no test runs, the riskiest first, and tests to extend."""
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
    """Return an absolute path, so that no command mistakes a name with a dash for an option."""
    return str(Path(path).absolute())


def _option(name: str, path: str | None) -> list[str]:
    """Return the argument for a path, if there is one."""
    return [] if path is None else [f"{name}={_absolute(path)}"]
