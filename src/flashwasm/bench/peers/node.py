"""Peers that run in Node: one process a case, spoken to by lines of JSON and files of floats."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from flashwasm.bench.peers.onnx_models import models
from flashwasm.bench.peers.peer import Contender, Peer, module_version
from flashwasm.errors import CapabilityError, FlashWasmError

if TYPE_CHECKING:
    from flashwasm.bench.case import Array, Case, Inputs

# Without the first, V8 runs unoptimised code for seconds, at half the speed; the second lets a
# script that is not beside the modules find them as Node does.
_FLAGS = ("--no-liftoff", "--experimental-import-meta-resolve", "--no-warnings")

# What a peer that takes one query a call is spared: minutes of it say no more than seconds.
_MOST_SCORES = 12 * 512 * 512


class NodeError(FlashWasmError):
    """A script failed; the message is its own."""


def modules_folder() -> Path:
    """Return where Node's packages are looked for: FLASHWASM_NODE_MODULES, or ./node_modules.

    Raises
    ------
    CapabilityError
        If the folder has another name: Node would not look into it.
    """
    folder = Path(os.environ.get("FLASHWASM_NODE_MODULES") or "node_modules").absolute()
    if folder.name != "node_modules":
        message = f"FLASHWASM_NODE_MODULES is {folder}; expected a folder named node_modules"
        raise CapabilityError(message)
    return folder


class NodeTask:
    """A Node process that holds one case's inputs.

    Parameters
    ----------
    script : str
        The peer's script, without its ending.
    case : Case
        What to compute.
    inputs : sequence of numpy.ndarray
        Its inputs, float32 or int32.
    model : bytes, optional
        An ONNX model of it.

    Raises
    ------
    CapabilityError
        If there is no Node.
    NodeError
        If the script cannot prepare the case, or run it once.
    """

    def __init__(self, script: str, case: Case, inputs: Inputs, model: bytes | None = None) -> None:
        node = shutil.which("node")
        if node is None:
            raise CapabilityError("node is not on the path; see https://nodejs.org")
        self._folder = tempfile.TemporaryDirectory(prefix="flashwasm-bench-")
        serve = Path(str(resources.files("flashwasm") / "bench" / "node" / "serve.mjs"))
        command = [node, *_FLAGS, str(serve), script, str(modules_folder())]
        # A file, not a pipe: nobody reads it while a library goes on printing.
        self._errors = Path(self._folder.name) / "errors"
        with self._errors.open("wb") as errors:
            self._process = subprocess.Popen(  # noqa: S603 - Node, on scripts of this package.
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )
        try:
            request: dict[str, Any] = {"operation": case.operation, "options": dict(case.options)}
            request["inputs"] = [self._write(f"input{i}", x) for i, x in enumerate(inputs)]
            if model is not None:
                request["model"] = str(Path(self._folder.name) / "model.onnx")
                Path(request["model"]).write_bytes(model)
            self.ask(do="prepare", **request)
            self.seconds(1)
        except BaseException:
            self.close()
            raise

    def ask(self, **request: Any) -> dict[str, Any]:
        """Send a request and return the answer.

        Raises
        ------
        NodeError
            If the script says that it failed, or ends.
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

    def result(self) -> Array:
        """Compute once and return the result, flat."""
        path = Path(self._folder.name) / "result"
        self.ask(do="result", file=str(path))
        return np.fromfile(path, np.float32)

    def seconds(self, loops: int) -> float:
        """Time calls, by Node's own clock."""
        return float(self.ask(do="time", loops=loops)["seconds"])

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def _write(self, name: str, x: Array) -> dict[str, Any]:
        path = Path(self._folder.name) / name
        np.ascontiguousarray(x).tofile(path)
        return {"file": str(path), "shape": x.shape, "dtype": str(x.dtype)}

    def _last_words(self) -> str:
        text = self._errors.read_text("utf-8", errors="replace")
        lines = [line for line in text.splitlines() if line.strip()]
        return next((line for line in lines if "Error" in line), lines[-1] if lines else "silent")


class NodePeer(Peer):
    """A peer of one script and some packages."""

    script: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """Return the version of the last package."""
        if shutil.which("node") is None:
            raise CapabilityError("node is not on the path; see https://nodejs.org")
        found = ""
        for package in self.packages:
            path = modules_folder() / package / "package.json"
            try:
                found = str(json.loads(path.read_text("utf-8"))["version"])
            except (OSError, ValueError, KeyError) as error:
                where = os.environ.get("FLASHWASM_NODE_MODULES") or "./node_modules"
                message = f"no {package} in {where}; FLASHWASM_NODE_MODULES names another folder"
                raise CapabilityError(message) from error
        return found

    def threads(self, threads: int) -> int:
        """Return one: neither runtime has threads in Node."""
        del threads
        return 1

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a process that has the inputs."""
        del threads
        task = NodeTask(self.script, case, inputs)
        return Contender(task.result, task.seconds, task.close)


class TensorFlowJs(NodePeer):
    """TensorFlow.js with its WebAssembly backend, on tensors that stay there."""

    name = "tfjs"
    install = "npm i --ignore-scripts @tensorflow/tfjs @tensorflow/tfjs-backend-wasm"
    about = "TensorFlow.js, its WebAssembly backend in Node; attention as products head by head"
    script = "tfjs"
    packages = ("@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")
    wasm = True


class OnnxRuntimeWeb(NodePeer):
    """ONNX Runtime's WebAssembly build; each call copies its inputs in and its output out."""

    name = "onnxruntime-web"
    install = "npm i --ignore-scripts onnxruntime-web && pip install onnx"
    about = "ONNX Runtime in WebAssembly in Node; its calls copy inputs in and the output out"
    script = "onnxruntime-web"
    packages = ("onnxruntime-web",)
    wasm = True

    def version(self) -> str:
        """Return the package's version; the models need onnx besides."""
        module_version("onnx")
        return super().version()

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return the first form of the case that the runtime can run."""
        del threads
        attends = case.operation == "attention"
        feeds = tuple(x[None] for x in inputs) if attends else inputs
        failure: NodeError | None = None
        for form, model in models(case, inputs):
            try:
                task = NodeTask(self.script, case, feeds, model)
            except NodeError as error:
                failure = error
                continue
            return Contender(task.result, task.seconds, task.close, form)
        raise failure or NodeError("no form of this case")


class RuVector(NodePeer):
    """@ruvector/attention: a native addon that takes one query a call."""

    name = "@ruvector/attention"
    install = "npm i --ignore-scripts @ruvector/attention"
    about = "a native addon, one query a call; only on the smallest full attention"
    script = "ruvector"
    packages = ("@ruvector/attention",)

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return attention that is small enough and not causal, which the addon has not."""
        if case.operation != "attention" or case.options["causal"]:
            return None
        heads, length, _ = inputs[0].shape
        if heads * length * length > _MOST_SCORES:
            return None
        return super().prepare(case, inputs, threads)
