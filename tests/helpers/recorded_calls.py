"""The calls of kernels that an operation makes, without running them."""

from contextlib import contextmanager


@contextmanager
def recorded_calls(runtime):
    """Yield a list that receives (kernel, arguments) of every call; no kernel runs.

    Operands may be as large as linear memory, because `Runtime.empty` does not write to its arrays.
    The runtime has one thread.
    """
    calls, kept = [], dict(runtime.kernel_calls)

    def recorder(kernel):
        def record(arguments):
            calls.append((kernel, tuple(arguments)))
            return 0

        return record

    assert runtime.threads == 1
    try:
        runtime.kernel_calls.update((kernel, recorder(kernel)) for kernel in kept)
        yield calls
    finally:
        runtime.kernel_calls.update(kept)
