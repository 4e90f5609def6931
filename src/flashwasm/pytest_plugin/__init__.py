"""A pytest plugin that does nothing unless one of its options is given.

* ``--fw-known DB`` names the known defect behind each failure in pytest's summary.
* ``--fw-diff REV|FILE`` runs the tests that a change may reach first. With it, ``--fw-select safe``
  runs only these, and ``--fw-select N|TIME`` runs only as many tests as fit into the budget.
* ``--fw-record DB`` records the lines that each test runs.

An error in the plugin is reported in a line of the summary and never fails the run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from flashwasm.pytest_plugin.summary import Summary
    from flashwasm.qe.changes.coverage.coverage_choice import CoverageChoice

# Key of pytest's configuration for the recording that ``--fw-record`` began.
_RECORDING = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the plugin's options to pytest."""
    group = parser.getgroup("flashwasm")
    group.addoption(
        "--fw-known",
        metavar="DB",
        help="Name the known defect behind each failure, with the evidence.",
    )
    group.addoption(
        "--fw-diff",
        metavar="REV|FILE",
        help="Run the tests most relevant to a change first: a diff, or all changes since a git "
        "revision.",
    )
    group.addoption(
        "--fw-select",
        metavar="safe|N|TIME",
        help="With --fw-diff, run only the tests that the change may reach (safe), the first N "
        "tests, or those that fit into a time: 60s, 2m.",
    )
    group.addoption(
        "--fw-coverage",
        metavar="DB",
        help="With --fw-diff, a coverage.py database with test contexts, made before the change. "
        "Default: coverage.py's data file, if it was recorded before the change.",
    )
    group.addoption(
        "--fw-no-coverage",
        action="store_true",
        help="With --fw-diff, use no coverage database; select the tests by imports alone.",
    )
    group.addoption(
        "--fw-record",
        metavar="DB",
        help="Record which lines each test runs in a coverage.py database, for --fw-coverage.",
    )


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin to record before any file of the project is imported, if --fw-record is given."""
    _begin_recording(early_config, early_config.known_args_namespace.fw_record)


def _begin_recording(config: pytest.Config, database: str | None) -> None:
    """Begin to record, unless the session already records or --fw-record is not given."""
    if database and _RECORDING not in config.stash:
        from flashwasm.pytest_plugin.recording import Recording

        config.stash[_RECORDING] = Recording(config, database)


def pytest_configure(config: pytest.Config) -> None:
    """Register the plugin for the session if one of its options was given."""
    known, diff = config.getoption("--fw-known"), config.getoption("--fw-diff")
    for option in ("--fw-select", "--fw-coverage", "--fw-no-coverage"):
        if config.getoption(option) and diff is None:
            raise pytest.UsageError(f"{option} needs --fw-diff, which names the change")
    # If a conftest.py loads this plugin, pytest reads the conftest.py files first.
    _begin_recording(config, config.getoption("--fw-record"))
    if known or diff is not None or _RECORDING in config.stash:
        from flashwasm.pytest_plugin.summary import Summary

        summary = Summary(config)
        config.pluginmanager.register(summary, "flashwasm-summary")
        if known:
            from flashwasm.pytest_plugin.known_defects import KnownDefects

            path = config.invocation_params.dir / known
            config.pluginmanager.register(KnownDefects(path, summary), "flashwasm-known")
        if diff is not None:
            _register_order(config, summary, diff)
        if _RECORDING in config.stash:
            config.stash[_RECORDING].join(summary)


def _register_order(config: pytest.Config, summary: Summary, diff: str) -> None:
    """Register the hooks that order the tests by a change."""
    from flashwasm.pytest_plugin.change_option import ChangeOption
    from flashwasm.pytest_plugin.change_order import ChangeOrder

    select = config.getoption("--fw-select")
    budget = _budget(select) if select else None
    lookup = _coverage_choice(config)
    change = ChangeOption(config, diff, lookup.path(config.rootpath))
    order = ChangeOrder(config, summary, change, budget, lookup)
    config.pluginmanager.register(order, "flashwasm-order")


def _coverage_choice(config: pytest.Config) -> CoverageChoice:
    """Return the choice of a coverage database by the two options for it."""
    from flashwasm.qe.changes.coverage.coverage_choice import CoverageChoice

    named, refused = "--fw-coverage", "--fw-no-coverage"
    database, off = config.getoption(named), config.getoption(refused)
    if database and off:
        raise pytest.UsageError(f"{named} and {refused} exclude each other; give one of them")
    here = config.invocation_params.dir
    path = here / database if database else None
    return CoverageChoice(path, off=off, here=here, named=named, refused=refused)


def _budget(select: str) -> float | int | str:
    """Return a number of tests as an int, a time as seconds in a float, or "safe"."""
    from flashwasm.errors import ShapeError
    from flashwasm.pytest_plugin.change_order import SAFE
    from flashwasm.qe.changes.ranking.run_budget import parse_budget

    if select == SAFE:
        return select
    try:
        return parse_budget(select)
    except ShapeError as error:
        raise pytest.UsageError(f"--fw-select: {error}") from error
