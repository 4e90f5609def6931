"""ONNX Runtime in this process, with its own kernels for the processor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.onnx_models import fed, input_names, models
from bench.peers.peer import Contender, Peer, installed_module, module_version
from flashwasm.benchmarks.timing import timer

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Case, Inputs


def session(model: bytes, threads: int) -> Any:
    """Return an inference session on the CPU.

    Parameters
    ----------
    model : bytes
        The ONNX model.
    threads : int
        Threads of one operator.
    """
    runtime: Any = installed_module("onnxruntime")
    options = runtime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class OnnxRuntime(Peer):
    """ONNX Runtime with inputs and output bound, so that a call copies nothing."""

    name = "ONNX Runtime"
    about = "its CPU provider on a model of one operator, inputs and output bound"

    def version(self) -> str:
        """Return the version of ONNX Runtime; the models require onnx to be installed too."""
        module_version("onnx")
        return module_version("onnxruntime")

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for the first form of the case."""
        form, model = models(case, inputs)[0]
        ready = session(model, threads)
        attends = case.operation == "attention"
        feeds = fed(case, inputs)
        names = input_names(feeds)
        first = ready.run(None, dict(zip(names, feeds, strict=True)))[0]
        out = np.empty_like(first)
        binding = ready.io_binding()
        for name, x in zip(names, feeds, strict=True):
            binding.bind_cpu_input(name, x)
        binding.bind_output("y", "cpu", 0, np.float32, out.shape, out.ctypes.data)

        def run() -> None:
            ready.run_with_iobinding(binding)

        def result() -> Any:
            run()
            return out[0] if attends else out

        return Contender(result, timer(run), note=form)
