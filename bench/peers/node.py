"""Peers that run in Node: one process a case, spoken to by lines of JSON and files of floats."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.node_process import NodeError, NodeProcess, package_version
from bench.peers.onnx_models import models
from bench.peers.peer import Contender, Peer, module_version

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array, Case, Inputs

# What a peer that takes one query a call is spared: minutes of it say no more than seconds.
_MOST_SCORES = 12 * 512 * 512


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
        self._process = NodeProcess(script)
        try:
            request: dict[str, Any] = {"operation": case.operation, "options": dict(case.options)}
            request["inputs"] = [self._process.write(f"input{i}", x) for i, x in enumerate(inputs)]
            if model is not None:
                path = self._process.path("model.onnx")
                path.write_bytes(model)
                request["model"] = str(path)
            self._process.ask(do="prepare", **request)
            self.seconds(1)
        except BaseException:
            self.close()
            raise

    def result(self) -> Array:
        """Compute once and return the result, flat."""
        return self._process.result()[0]

    def seconds(self, loops: int) -> float:
        """Time calls, by Node's own clock."""
        return float(self._process.ask(do="time", loops=loops)["seconds"])

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.close()


class NodePeer(Peer):
    """A peer of one script and some packages."""

    script: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """Return the version of the last package."""
        return [package_version(package) for package in self.packages][-1]

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
    about = "TensorFlow.js, its WebAssembly backend in Node; attention as products head by head"
    script = "tfjs"
    packages = ("@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")
    wasm = True


class OnnxRuntimeWeb(NodePeer):
    """ONNX Runtime's WebAssembly build; each call copies its inputs in and its output out."""

    name = "onnxruntime-web"
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
