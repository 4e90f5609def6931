"""A command of flashwasm, run in a process of its own for its JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import anyio
from mcp.server.mcpserver.exceptions import ToolError

__all__ = ["answer"]

# Python looks for modules in the working folder first when it is given code. What lies there
# belongs to the project that is asked about, and must not run.
_RUN = (
    "import sys; sys.path[:] = [path for path in sys.path if path]; "
    "from flashwasm.cli import main; main(prog_name='flashwasm')"
)
# Exit status of a command that found nothing, or that found faults. Both print JSON.
_FINDINGS = 1


async def answer(*arguments: str, stdin: str = "") -> Any:
    """Run a command with ``--json``, and return the document that it prints.

    A process of its own gives back all memory when it ends. It is killed if the client cancels the
    call.

    Parameters
    ----------
    arguments : str
        Name of the command, with its options and arguments.
    stdin : str, default ""
        Text that the command may read from stdin.

    Raises
    ------
    mcp.server.mcpserver.exceptions.ToolError
        If the command refuses its input, or has no answer. The message is the command's own.
    """
    command = [sys.executable, "-c", _RUN, *arguments, "--json"]
    done = await anyio.run_process(
        command, input=stdin.encode(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False
    )
    if done.returncode in {0, _FINDINGS} and done.stdout.strip():
        return json.loads(done.stdout)
    said = done.stderr.decode(errors="replace").strip().splitlines()
    raise ToolError(said[-1] if said else f"the command ended with status {done.returncode}")
