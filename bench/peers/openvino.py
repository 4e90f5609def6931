"""OpenVINO in this process, for products of 8-bit codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.onnx_models import static_product
from bench.peers.peer import Contender, Peer, installed_module, module_version
from flashwasm.benchmarks.timing import timer

if TYPE_CHECKING:
    from flashwasm.benchmarks.case import Case, Inputs

# The CPU plugin quantizes activations row by row if a group is at least as long as a row.
_WHOLE_ROWS = 1 << 16


def request(model: bytes, threads: int) -> Any:
    """Return an inference request on the CPU, for an ONNX model.

    Products of 8-bit codes are exact sums. Everything else is set to float32, because OpenVINO
    would choose bfloat16 on some processors. If only the weights are codes, OpenVINO quantizes the
    rows of the activations to 8 bits in each call.

    Parameters
    ----------
    model : bytes
        The ONNX model.
    threads : int
        Threads of one request.
    """
    core = installed_module("openvino").Core()
    settings = {
        "INFERENCE_NUM_THREADS": threads,
        "NUM_STREAMS": 1,
        "INFERENCE_PRECISION_HINT": "f32",
        "DYNAMIC_QUANTIZATION_GROUP_SIZE": _WHOLE_ROWS,
    }
    return core.compile_model(core.read_model(model), "CPU", settings).create_infer_request()


class OpenVino(Peer):
    """OpenVINO, with the input and the output of a request in OpenVINO's memory."""

    name = "OpenVINO"
    about = "its CPU plugin, 8-bit products only; everything else in float32"

    def version(self) -> str:
        """Return the version of OpenVINO; the models require onnx to be installed too."""
        module_version("onnx")
        return module_version("openvino").partition("-")[0]

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for a product of 8-bit codes, and None for other cases."""
        if case.operation != "matmul_i8":
            return None
        ready = request(static_product(inputs), threads)
        ready.set_input_tensor(installed_module("openvino").Tensor(inputs[0], shared_memory=True))

        def result() -> Any:
            ready.infer()
            return np.array(ready.get_output_tensor().data)

        return Contender(result, timer(ready.infer), note="calibrated: one scale for all rows")
