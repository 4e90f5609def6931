"""Run a flashwasm command in a separate process, and return the JSON that it prints."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import anyio
from mcp.server.mcpserver.exceptions import ToolError

__all__ = ["answer"]

# With ``python -c``, Python looks for modules in the working folder first. The modules there belong
# to the user's project and must not run.
_RUN = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from flashwasm.cli import main; main(prog_name='flashwasm')"
)
# Exit status of a command that found nothing, or that found problems. In both cases it prints JSON.
_FINDINGS = 1


async def answer(*arguments: str, stdin: str = "") -> Any:
    """Run a command with ``--json``, and return the document that it prints.

    A separate process frees all of its memory when it ends. It is killed if the client cancels the
    call.

    Parameters
    ----------
    arguments : str
        Name of the command, followed by its options and arguments.
    stdin : str, default ""
        Text that the command may read from stdin.

    Raises
    ------
    mcp.server.mcpserver.exceptions.ToolError
        If the command rejects its input, or prints no JSON. The message is that of the command.
    """
    command = [sys.executable, "-c", _RUN, *arguments, "--json"]
    done = await anyio.run_process(
        command, input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )
    if done.returncode in {0, _FINDINGS} and done.stdout.strip():
        return json.loads(done.stdout)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise ToolError(said[-1] if said else f"the command ended with status {done.returncode}")
