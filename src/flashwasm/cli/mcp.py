"""``flashwasm mcp``: serve the commands on test suites as tools of a coding agent."""

from __future__ import annotations

import os
import signal
import sys
from importlib import import_module
from typing import NoReturn

import click

from flashwasm.cli.exit_status import INTERRUPTED
from flashwasm.cli.output import note
from flashwasm.optional_packages import optional_module

__all__ = ["mcp"]


@click.command()
def mcp() -> None:
    """Serve these commands to a coding agent over the Model Context Protocol.

    To use the server, register it in the agent's settings as the command "flashwasm" with the
    argument "mcp". The server reads requests on stdin and answers on stdout until stdin is closed.
    Its tools are similar, duplicates, tests_for, defects_match and coverage_gap. Each tool runs the
    command of the same name and returns its --json output. The tools never run or import the code
    of a project, and never write to the project.

    \b
    Example:
      flashwasm mcp
    """
    optional_module("mcp", extra="mcp")
    if sys.stdin is not None and sys.stdin.isatty():
        note(
            "the server waits for the requests of a coding agent on stdin; to use it, register the "
            'command "flashwasm mcp" in the agent\'s settings; Ctrl-C ends it'
        )
    server = import_module("flashwasm.mcp_server.tools").SERVER
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
    server.run("stdio")


def _end(_number: int, _frame: object) -> NoReturn:
    """End the process at once. A thread that waits for stdin would delay a normal end."""
    os.write(2, b"interrupted\n")
    os._exit(INTERRUPTED)
