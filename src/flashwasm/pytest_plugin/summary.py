"""The plugin's section in pytest's summary: its lines, from all workers of pytest-xdist."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

__all__ = ["Summary"]


class Summary:
    """The lines that the plugin adds to pytest's summary.

    Parameters
    ----------
    config : pytest.Config
        Configuration of the session.

    Attributes
    ----------
    lines : list of str
        Lines, in their order.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self.lines: list[str] = []

    def guarded(self, what: str, work: Callable[[], object]) -> bool:
        """Call a function; report an error in a line of the summary, and return False then."""
        try:
            work()
        except Exception as error:  # noqa: BLE001 - no error of this plugin may fail the run.
            reason = " ".join(str(error).split()) or type(error).__name__
            self.lines.append(f"could not {what}: {reason}")
            return False
        return True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Send the lines to the controller from a worker of xdist."""
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output["flashwasm"] = self.lines

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Add the lines of a worker. All workers send the same lines, so each is added once."""
        for line in getattr(node, "workeroutput", {}).get("flashwasm", []):
            if line not in self.lines:
                self.lines.append(line)

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """Print the lines in a separate section, if there are any."""
        if self.lines:
            terminalreporter.section("flashwasm")
            for line in self.lines:
                terminalreporter.line(line)
