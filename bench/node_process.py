"""A Node process that runs a script of `node/`.

Requests and answers are lines of JSON; arrays are files of numbers.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.errors import CapabilityError, FlashWasmError

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array

# Without this flag, V8 runs unoptimised code for seconds, at half the speed.
OPTIMISED = "--no-liftoff"
# With the second flag, a script in another folder than the packages can resolve them as Node
# itself would.
FLAGS = (OPTIMISED, "--experimental-import-meta-resolve", "--no-warnings")


class NodeError(FlashWasmError):
    """An error in a script, with the script's own message."""


def modules_folder() -> Path:
    """Return the folder of Node's packages: FLASHWASM_NODE_MODULES, or `bench/node_modules`.

    Raises
    ------
    CapabilityError
        If the folder has another name than node_modules, because Node would not look into it.
    """
    given = os.environ.get("FLASHWASM_NODE_MODULES")
    folder = Path(given).absolute() if given else Path(__file__).parent / "node_modules"
    if folder.name != "node_modules":
        message = f"FLASHWASM_NODE_MODULES is {folder}; expected a folder named node_modules"
        raise CapabilityError(message)
    return folder


def packaged_node() -> str | None:
    """Return the path of the Node that comes with the packages; None if it is not installed."""
    return next(map(str, modules_folder().glob("node-*/bin/node")), None)


def node_program() -> str | None:
    """Return the path of Node, the system's or that of the packages; None if there is none."""
    return shutil.which("node") or packaged_node()


def package_version(package: str) -> str:
    """Return the version of one of Node's packages.

    Parameters
    ----------
    package : str
        Name of the package.

    Raises
    ------
    CapabilityError
        If Node or the package is not installed.
    """
    if node_program() is None:
        raise CapabilityError("node is not on the path; see https://nodejs.org")
    folder = modules_folder()
    try:
        return str(json.loads((folder / package / "package.json").read_text("utf-8"))["version"])
    except (OSError, ValueError, KeyError) as error:
        raise CapabilityError(
            f"no {package} in {folder}; `make bench-peers` installs it"
        ) from error


class NodeProcess:
    """A process that runs one script, and a folder for the files that both sides use.

    Parameters
    ----------
    script : str
        Name of the script in `node/`, without its ending.

    Raises
    ------
    CapabilityError
        If Node is not installed.
    """

    def __init__(self, script: str) -> None:
        node = node_program()
        if node is None:
            raise CapabilityError("node is not on the path; see https://nodejs.org")
        self._folder = tempfile.TemporaryDirectory(prefix="flashwasm-bench-")
        serve = Path(__file__).parent / "node" / "serve.mjs"
        command = [node, *FLAGS, str(serve), script, str(modules_folder())]
        # The process writes errors to a file. A pipe would fill up and block a library that prints
        # much, because this process does not read it meanwhile.
        self._errors = self.path("errors")
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - Node, on scripts of this package.
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )

    def path(self, name: str) -> Path:
        """Return the path of a file that both sides use.

        Parameters
        ----------
        name : str
            Name of the file.
        """
        return Path(self._folder.name) / name

    def write(self, name: str, x: Array) -> dict[str, Any]:
        """Write an array for the script, and return its description for a request.

        Parameters
        ----------
        name : str
            Name of the file to write.
        x : numpy.ndarray
            The array.
        """
        np.ascontiguousarray(x).tofile(self.path(name))
        return {"file": str(self.path(name)), "shape": x.shape, "dtype": str(x.dtype)}

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Parameters
        ----------
        request
            Fields of the request.

        Raises
        ------
        NodeError
            If the script reports an error, or the process ends.
        """
        line = b""
        if self._process.stdin and self._process.stdout:
            with suppress(BrokenPipeError):
                self._process.stdin.write(json.dumps(request).encode() + b"\n")
                self._process.stdin.flush()
                line = self._process.stdout.readline()
        if not line:
            raise NodeError(f"node ended: {self._last_words()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer

    def result(self, **request: Any) -> tuple[Array, float]:
        """Compute once, and return the flat result and the seconds that it took in Node.

        Parameters
        ----------
        request
            Further fields of the request.
        """
        answer = self.ask(do="result", file=str(self.path("result")), **request)
        return np.fromfile(self.path("result"), np.float32), float(answer["seconds"])

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _last_words(self) -> str:
        """Return the most informative line of the process's errors."""
        text = self._errors.read_text("utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return next((line for line in lines if "Error" in line), lines[-1] if lines else "silent")
