"""``flashwasm mcp``: the commands over test suites as tools of a coding agent."""

from __future__ import annotations

from importlib import import_module

import click

from flashwasm.optional_packages import optional_module

__all__ = ["mcp"]


@click.command()
def mcp() -> None:
    """Serve these commands to a coding agent, by the Model Context Protocol.

    The tools are similar, duplicates, tests_for, defects_match and coverage_gap. The server speaks
    the protocol on stdin and stdout, until stdin is closed. An
    agent's settings name it as the command "flashwasm" with the argument "mcp". Each tool runs the
    command of its name, and returns what that prints with --json. No tool runs or imports the code
    of a project, and none writes to it.

    \b
    Example:
      flashwasm mcp
    """
    optional_module("mcp", extra="mcp")
    import_module("flashwasm.mcp_server.tools").SERVER.run("stdio")
