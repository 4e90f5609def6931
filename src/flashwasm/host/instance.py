"""Instances: a module with its own store and stack, and fast calls of its kernels."""

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

    from flashwasm.host.modules import Variant
    from flashwasm.host.shared_memory import SharedMemory

    Call = Callable[[Sequence[float]], int]

STACK_BYTES = 1 << 16
ARGUMENT_BYTES = 1 << 8
# Linear memory of each instance: its stack, the arguments that are passed in memory, and the
# workspace of its kernels.
INSTANCE_BYTES = STACK_BYTES + ARGUMENT_BYTES + WORKSPACE_BYTES

# Codes of the struct module by the letters of a kernel's signature.
_CODES = {"p": "I", "u": "I", "i": "i", "f": "f"}
# Size of wasmtime_val_raw_t, which can store one argument of any type.
_VALUE_BYTES = 16


def _find_unchecked_call() -> Any:
    """Return wasmtime's C function that calls a kernel without checking types, or None.

    The result is None if wasmtime lacks the function, or if its values have a different size.
    """
    try:
        # The module is private to wasmtime, so another release may not have it.
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
    """Return wasmtime's message for an error or a trap, given by its address, and free it."""
    _bindings = importlib.import_module("wasmtime._bindings")
    if trap:
        trap_pointer = ctypes.cast(trap, ctypes.POINTER(_bindings.wasm_trap_t))
        return str(wasmtime.Trap._from_ptr(trap_pointer))  # noqa: SLF001 - no public way from an address.
    error_pointer = ctypes.cast(error or 0, ctypes.POINTER(_bindings.wasmtime_error_t))
    return str(wasmtime.WasmtimeError._from_ptr(error_pointer))  # noqa: SLF001 - as for traps.


def _called(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function with subnormal numbers enabled, even on a thread that flushes them."""
    flushed = SMALLEST * 1.0 == 0
    return in_plain_arithmetic(function, *arguments) if flushed else function(*arguments)


class Instance:
    """An instance of a module, for use by one thread at a time.

    Parameters
    ----------
    variant : str
        Variant of the module.
    memory : SharedMemory
        Linear memory that the module imports.
    base : int
        Address of the ``INSTANCE_BYTES`` of linear memory that belong to this instance.

    Attributes
    ----------
    calls : dict of Kernel to callable
        For each kernel, a function that accepts its arguments, without the workspace, and returns
        its status.
    """

    def __init__(self, variant: Variant, memory: SharedMemory, base: int) -> None:
        self._store = wasmtime.Store(engine())
        module = compiled(variant)
        self._instance = wasmtime.Instance(self._store, module, [memory.memory])
        exports: Any = self._instance.exports(self._store)
        exports["__stack_pointer"].set_value(self._store, wasmtime.Val.i32(base + STACK_BYTES))
        self._memory = memory
        self._arguments = base + STACK_BYTES
        self._workspace = base + STACK_BYTES + ARGUMENT_BYTES
        make = self._public_call if _unchecked_call is None else self._fast_call
        self.calls: dict[Kernel, Call] = {
            kernel: self._prepared(kernel, make, exports[kernel.export]) for kernel in KERNELS
        }

    def call(self, kernel: Kernel, arguments: Sequence[float]) -> int:
        """Call a kernel and return its status.

        Raises
        ------
        KernelTrap
            If the sandbox stopped the kernel.
        """
        return self.calls[kernel](arguments)

    def _prepared(
        self, kernel: Kernel, make: Callable[[Any, str, list[int]], Call], function: Any
    ) -> Call:
        """Return a function that calls a kernel with its arguments.

        The function adds the address of the workspace if the kernel needs one. If the kernel
        expects its arguments as a structure, the function writes them to linear memory and passes
        their address.
        """
        prefix = [self._workspace] if kernel.workspace else []
        signature = "p" * len(prefix) + kernel.signature
        if not kernel.in_memory:
            return make(function, signature, prefix)
        pack = struct.Struct("<" + "".join(_CODES[c] for c in signature)).pack_into
        content, at = self._memory.content, self._arguments
        call = make(function, "p", [at])

        def call_with_structure(arguments: Sequence[float]) -> int:
            """Write the structure, and call the kernel with its address."""
            pack(content, at, *prefix, *arguments)
            return call(())

        return call_with_structure

    def _fast_call(self, function: Any, signature: str, prefix: list[int]) -> Call:
        """Return a function that calls through wasmtime's unchecked function.

        All calls reuse the same array of values.
        """
        count = len(signature)
        # Packing into a bytearray is several times faster than filling a ctypes array.
        content = bytearray(_VALUE_BYTES * max(count, 1))
        values = (ctypes.c_char * len(content)).from_buffer(content)
        result = ctypes.c_int32.from_buffer(content)
        pack = struct.Struct("<" + "".join(f"{_CODES[c]}12x" for c in signature)).pack_into
        trap = ctypes.c_void_p()
        private_context = self._store._context()  # noqa: SLF001 - not public in wasmtime.
        context = ctypes.cast(private_context, ctypes.c_void_p)
        code = ctypes.c_void_p(ctypes.addressof(function._func))  # noqa: SLF001 - nor is this.
        where = ctypes.c_void_p(ctypes.addressof(values))
        trap_slot = ctypes.c_void_p(ctypes.addressof(trap))
        length, raw = ctypes.c_size_t(count), _unchecked_call

        def call(arguments: Sequence[float]) -> int:
            """Pack the arguments, call the kernel, and return its status."""
            pack(content, 0, *prefix, *arguments)
            # This repeats the code of `_called`, which saves a Python call.
            if SMALLEST * 1.0:
                error = raw(context, code, where, length, trap_slot)
            else:
                error = in_plain_arithmetic(raw, context, code, where, length, trap_slot)
            if error is not None or trap:
                message = _message_of(error, trap.value)
                trap.value = None
                raise KernelTrap(message)
            return result.value

        # The addresses above are valid only as long as these two objects exist.
        call.kept = (function, values)  # type: ignore[attr-defined]
        return call

    def _public_call(self, function: Any, signature: str, prefix: list[int]) -> Call:
        """Return a function that calls through wasmtime's public interface.

        It is slower, because wasmtime looks up the kernel's types in every call.
        """

        def call(arguments: Sequence[float]) -> int:
            """Convert the arguments to the types of the signature, and call the kernel."""
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
