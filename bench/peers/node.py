"""Peers that run in Node, with a new process for each case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.node_process import NodeError, NodeProcess, package_version
from bench.peers.onnx_models import fed, models
from bench.peers.peer import Contender, Peer, module_version

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Array, Case, Inputs

# A peer that computes one query in each call would need minutes for more scores than these.
_MOST_SCORES = 12 * 512 * 512


class NodeTask:
    """A Node process that holds one case's inputs.

    Parameters
    ----------
    script : str
        Name of the peer's script, without its ending.
    case : Case
        Case to compute.
    inputs : tuple of numpy.ndarray
        Inputs of the case, float32 or int32.
    model : bytes, optional
        ONNX model of the case.

    Raises
    ------
    CapabilityError
        If Node is not installed.
    NodeError
        If the script cannot prepare the case, or cannot run it once.
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
        """Compute once and return the flat result."""
        return self._process.result()[0]

    def seconds(self, loops: int) -> float:
        """Return the seconds that a number of calls takes, by Node's own clock.

        Parameters
        ----------
        loops : int
            Number of calls.
        """
        return float(self._process.ask(do="time", loops=loops)["seconds"])

    def close(self) -> None:
        """End the process and remove its files."""
        self._process.close()


class NodePeer(Peer):
    """A peer that consists of a script and some packages of Node.

    Attributes
    ----------
    script : str
        Name of the script in `node/`, without its ending.
    packages : tuple of str
        Packages that it needs. The version of the last one is reported.
    """

    script: str
    packages: tuple[str, ...]

    def version(self) -> str:
        """Return the version of the last package; all of them must be installed."""
        return [package_version(package) for package in self.packages][-1]

    def threads(self, threads: int) -> int:
        """Return one, because none of these libraries has threads in Node."""
        del threads
        return 1

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender: a process that holds the inputs."""
        del threads
        task = NodeTask(self.script, case, inputs)
        return Contender(task.result, task.seconds, task.close)


class TensorFlowJs(NodePeer):
    """TensorFlow.js with its WebAssembly backend, on tensors that stay in its memory."""

    name = "tfjs"
    about = "TensorFlow.js, its WebAssembly backend in Node; attention as products head by head"
    script = "tfjs"
    packages = ("@tensorflow/tfjs", "@tensorflow/tfjs-backend-wasm")
    wasm = True

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender, and None for products of 8-bit codes, which tfjs does not have."""
        if case.operation == "matmul_i8":
            return None
        return super().prepare(case, inputs, threads)


class OnnxRuntimeWeb(NodePeer):
    """ONNX Runtime's WebAssembly build, whose calls copy the inputs in and the output out."""

    name = "onnxruntime-web"
    about = "ONNX Runtime in WebAssembly in Node; its calls copy inputs in and the output out"
    script = "onnxruntime-web"
    packages = ("onnxruntime-web",)
    wasm = True

    def version(self) -> str:
        """Return the version of the package; the models require onnx to be installed too."""
        module_version("onnx")
        return super().version()

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for the first form of the case that the runtime can run."""
        del threads
        feeds = fed(case, inputs)
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
    """@ruvector/attention: a native addon that computes one query in each call."""

    name = "@ruvector/attention"
    about = "a native addon, one query a call; only on the smallest full attention"
    script = "ruvector"
    packages = ("@ruvector/attention",)

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for attention that is small enough.

        It returns None for causal attention, which the addon does not have.
        """
        if case.operation != "attention" or case.options["causal"]:
            return None
        heads, length, _ = inputs[0].shape
        if heads * length * length > _MOST_SCORES:
            return None
        return super().prepare(case, inputs, threads)
