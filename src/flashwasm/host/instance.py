"""An instance of a module: its own store and stack over the shared memory, and calls into it."""

from __future__ import annotations

import ctypes
import importlib
import struct
from typing import TYPE_CHECKING, Any

import wasmtime

from flashwasm.errors import KernelTrap
from flashwasm.host.engine import compiled, engine
from flashwasm.host.subnormals import SMALLEST, in_plain_arithmetic
from flashwasm.kernel_table import KERNELS, WORKSPACE_BYTES, Kernel

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from flashwasm.host.shared_memory import SharedMemory

    Call = Callable[[Sequence[float]], int]

STACK_BYTES = 1 << 16
ARGUMENT_BYTES = 1 << 8
# What each instance needs of linear memory: its stack, arguments that go by memory, its workspace.
INSTANCE_BYTES = STACK_BYTES + ARGUMENT_BYTES + WORKSPACE_BYTES

_CODES = {"p": "I", "i": "i", "f": "f"}
_VALUE_BYTES = 16


def _find_unchecked_call() -> Any:
    """Return wasmtime's C entry for calls whose types are known, or None where it is not found."""
    try:
        # Private, so its absence is foreseen.
        _bindings = importlib.import_module("wasmtime._bindings")
        if ctypes.sizeof(_bindings.wasmtime_val_raw_t) != _VALUE_BYTES:
            return None
        pointer = ctypes.c_void_p
        prototype = ctypes.CFUNCTYPE(pointer, pointer, pointer, pointer, ctypes.c_size_t, pointer)
        return prototype(("wasmtime_func_call_unchecked", _bindings.dll))
    except (ImportError, AttributeError):
        return None


_unchecked_call = _find_unchecked_call()


def _message_of(error: int | None, trap: int | None) -> str:
    """Return what wasmtime says of an error or a trap, and free it."""
    _bindings = importlib.import_module("wasmtime._bindings")
    # Neither class has a public constructor from a pointer.
    if trap:
        trap_pointer = ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t))
        return str(wasmtime.Trap._from_ptr(trap_pointer))  # noqa: SLF001 - see above.
    error_pointer = ctypes.cast(error or 0, ctypes.POINTER(_bindings.wasmtime_error_t))
    return str(wasmtime.WasmtimeError._from_ptr(error_pointer))  # noqa: SLF001 - see above.


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function, where the thread flushes subnormal numbers without that."""
    flushed = SMALLEST * 1.0 == 0
    return in_plain_arithmetic(function, *arguments) if flushed else function(*arguments)


class Instance:
    """One instance, for use by one thread at a time.

    Parameters
    ----------
    variant : str
        Which module.
    memory : SharedMemory
        The linear memory that it imports.
    base : int
        Address of its ``INSTANCE_BYTES``.
    fast : bool
        Whether to call by wasmtime's unchecked entry, where there is one, or by its public one.
    """

    def __init__(
        self,
        variant: str,
        memory: SharedMemory,
        base: int,
        *,
        fast: bool = True,
    ) -> None:
        self._store = wasmtime.Store(engine())
        module = compiled(variant)
        self._instance = wasmtime.Instance(self._store, module, [memory.memory])
        exports: Any = self._instance.exports(self._store)
        exports["__stack_pointer"].set_value(self._store, wasmtime.Val.i32(base + STACK_BYTES))
        self._memory = memory
        self._arguments = base + STACK_BYTES
        self._workspace = base + STACK_BYTES + ARGUMENT_BYTES
        make = self._fast_call if fast and _unchecked_call is not None else self._public_call
        self.calls: dict[Kernel, Call] = {
            kernel: self._prepared(kernel, make, exports[kernel.export]) for kernel in KERNELS
        }

    def call(self, kernel: Kernel, arguments: Sequence[float]) -> int:
        """Call a kernel and return its status.

        Raises
        ------
        KernelTrap
            If the sandbox stopped it.
        """
        return self.calls[kernel](arguments)

    def _prepared(
        self, kernel: Kernel, make: Callable[[Any, str, list[int]], Call], function: Any
    ) -> Call:
        """Return a call of a kernel that adds the workspace and writes a structure where asked."""
        prefix = [self._workspace] if kernel.workspace else []
        signature = "p" * len(prefix) + kernel.signature
        if not kernel.in_memory:
            return make(function, signature, prefix)
        pack = struct.Struct("<" + "".join(_CODES[c] for c in signature)).pack_into
        content, at, call = (
            self._memory.content,
            self._arguments,
            make(function, "p", [self._arguments]),
        )

        def call_with_structure(arguments: Sequence[float]) -> int:
            pack(content, at, *prefix, *arguments)
            return call(())

        return call_with_structure

    def _fast_call(self, function: Any, signature: str, prefix: list[int]) -> Call:
        """Return a call through the unchecked entry, with its array of values kept."""
        count = len(signature)
        # A bytearray takes packed values several times faster than an array of ctypes.
        content = bytearray(_VALUE_BYTES * max(count, 1))
        values = (ctypes.c_char * len(content)).from_buffer(content)
        result = ctypes.c_int32.from_buffer(content)
        pack = struct.Struct("<" + "".join(f"{_CODES[c]}12x" for c in signature)).pack_into
        trap = ctypes.c_void_p()
        # wasmtime's own classes hold these two pointers and do not hand them out.
        context = ctypes.cast(self._store._context(), ctypes.c_void_p)  # noqa: SLF001
        code = ctypes.c_void_p(ctypes.addressof(function._func))  # noqa: SLF001
        where = ctypes.c_void_p(ctypes.addressof(values))
        trap_slot = ctypes.c_void_p(ctypes.addressof(trap))
        length, raw = ctypes.c_size_t(count), _unchecked_call

        def call(arguments: Sequence[float]) -> int:
            pack(content, 0, *prefix, *arguments)
            # As `_called` does it, without the cost of a call.
            if SMALLEST * 1.0:
                error = raw(context, code, where, length, trap_slot)
            else:
                error = in_plain_arithmetic(raw, context, code, where, length, trap_slot)
            if error is not None or trap:
                message = _message_of(error, trap.value)
                trap.value = None
                raise KernelTrap(message)
            return result.value

        # The addresses above are only good while what they point into is kept.
        call.kept = (function, values)  # type: ignore[attr-defined]
        return call

    def _public_call(self, function: Any, signature: str, prefix: list[int]) -> Call:
        """Return a call through wasmtime's public entry, which asks for the types every time."""

        def call(arguments: Sequence[float]) -> int:
            values = [
                ctypes.c_int32(int(value)).value if letter != "f" else float(value)
                for letter, value in zip(signature, (*prefix, *arguments), strict=True)
            ]
            try:
                status: int = _called(function, self._store, *values)
            except (wasmtime.Trap, wasmtime.WasmtimeError) as error:
                raise KernelTrap(str(error)) from error
            return status

        return call
