"""The report of `python -m bench quality --faults`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.quality.fault_findings import EXPLAINED
from bench.quality.faults import TESTMON, FaultOptions, measure_faults
from flashwasm.benchmarks.report import markdown_table, terminal_table
from flashwasm.cli.output import note
from flashwasm.progress_bar import progress_report

if TYPE_CHECKING:
    from bench.quality.fault_findings import ProjectFaults
    from flashwasm.cli.bench_options import Outputs

__all__ = ["report_faults"]

_ABSENT = f"{TESTMON} is not installed, so it is not compared: pip install {TESTMON}"


def report_faults(
    projects: Sequence[Path],
    options: FaultOptions,
    minutes: float | None,
    outputs: Outputs,
) -> None:
    """Evaluate the selection on faults of some projects, and print the tests that it left out.

    Parameters
    ----------
    projects : sequence of pathlib.Path
        Roots of the projects.
    options : FaultOptions
        Number of mutations for each project, and their choice.
    minutes : float or None
        Minutes for all projects; None if there is no limit.
    outputs : Outputs
        Destinations of the report.
    """
    found: list[ProjectFaults] = []
    end = float("inf") if minutes is None else time.monotonic() + 60 * minutes
    for number, project in enumerate(projects):
        now = time.monotonic()
        limited = replace(options, deadline=now + (end - now) / (len(projects) - number))
        with progress_report(f"mutations of {project.resolve().name}") as advance:
            found.append(measure_faults(project, limited, advance, note))
    notes = [EXPLAINED, *(line for one in found for line in one.notes())]
    if not any(TESTMON in result.choices for one in found for result in one.results):
        notes.append(_ABSENT)
    sections = [one.section() for one in found]
    listed = "".join(f"* {line}\n" for line in notes)
    tables = [markdown_table(*section) for section in sections]
    title = f"# Faults, by `python -m bench quality --faults`\n\n{listed}"
    outputs.write(
        {"faults": [one.as_dict() for one in found], "notes": notes}, "\n".join([title, *tables])
    )
    outputs.show([terminal_table(*section) for section in sections], notes)
    outputs.end(missed=any(line.startswith("MISSED") for line in notes))
