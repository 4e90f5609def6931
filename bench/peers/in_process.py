"""Peers that run in this process: NumPy and PyTorch."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.peers.peer import Contender, Peer, installed_module, module_version
from flashwasm.benchmarks.cases.attention import attention_by_heads
from flashwasm.benchmarks.timing import timer

if TYPE_CHECKING:
    from collections.abc import Callable

    from flashwasm.benchmarks.case import Case, Inputs


class NumPy(Peer):
    """NumPy, in the form that most users would write first: the baseline of each case."""

    name = "NumPy"
    about = "as a case's baseline says; with the name of its BLAS if known"

    def version(self) -> str:
        """Return NumPy's version."""
        return np.__version__

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender that runs the case's baseline."""
        # NumPy's BLAS reads its number of threads when it is loaded, so it cannot be set here.
        del threads
        run = partial(case.baseline, *inputs)
        return Contender(run, timer(run))


class NumPyByHeads(NumPy):
    """NumPy's attention, computed one head at a time and in place."""

    name = "NumPy, by heads"
    about = "attention one head at a time, in place, so that scores stay in cache"

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender for attention, and None for other cases."""
        del threads
        if case.operation != "attention":
            return None
        run = partial(attention_by_heads, *inputs, causal=case.options["causal"])
        return Contender(run, timer(run))


class PyTorch(Peer):
    """PyTorch on the CPU, on tensors over NumPy's memory.

    Operations with a parameter ``out=`` write to the same tensor in every call.
    """

    name = "PyTorch"
    about = "torch on the CPU, eager, in inference mode; scaled_dot_product_attention"

    def version(self) -> str:
        """Return PyTorch's version."""
        return module_version("torch")

    def prepare(self, case: Case, inputs: Inputs, threads: int) -> Contender | None:
        """Return a contender that runs PyTorch's operation of the same name.

        It returns None for products of 8-bit codes, which PyTorch offers only as layers.
        """
        if case.operation == "matmul_i8":
            return None
        torch: Any = installed_module("torch")
        torch.set_num_threads(threads)
        call = self._operation(torch, case, [torch.from_numpy(x) for x in inputs])

        def run() -> Any:
            with torch.inference_mode():
                return call()

        def seconds(loops: int) -> float:
            with torch.inference_mode():
                return timer(call)(loops)

        return Contender(lambda: run().numpy(), seconds)

    @staticmethod
    def _operation(torch: Any, case: Case, x: list[Any]) -> Callable[[], Any]:
        """Return a call of the operation on tensors."""
        functional = torch.nn.functional
        with torch.inference_mode():
            out = torch.empty(0)
            if case.operation == "attention":
                # PyTorch uses its fast kernel only if there is a batch axis.
                batch = [one[None] for one in x]
                causal = case.options["causal"]
                attend = functional.scaled_dot_product_attention
                return lambda: attend(*batch, is_causal=causal)[0]
            if case.operation in {"softmax", "layer_norm"}:
                out = torch.empty_like(x[0])
        calls: dict[str, Callable[[], Any]] = {
            "matmul": lambda: torch.matmul(*x, out=out),
            "softmax": lambda: torch.softmax(x[0], -1, out=out),
            "layer_norm": lambda: functional.layer_norm(x[0], x[0].shape[-1:], x[1], x[2]),
            "vecadd": lambda: torch.add(*x, out=out),
            "embedding": lambda: torch.index_select(x[1], 0, x[0], out=out),
        }
        return calls[case.operation]
