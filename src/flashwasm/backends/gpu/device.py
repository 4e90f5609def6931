"""The device: reuses buffers, compiles pipelines once, and runs shaders."""

from __future__ import annotations

import math
import struct
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flashwasm.backends.gpu.adapter import find_adapter
from flashwasm.errors import DeviceError, FlashWasmError, OutOfMemoryError
from flashwasm.optional_packages import optional_module

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import DTypeLike, NDArray

    Array = NDArray[Any]

__all__ = ["MOST_BYTES", "Binding", "Device", "shader"]

# Maximum number of workgroups along one dimension of a grid, in every implementation of WebGPU.
_MOST_WORKGROUPS = 65535
# Bytes of a buffer that every implementation lets a shader bind. A device may allow more.
MOST_BYTES = 128 << 20
_LEAST_BYTES = 256
# Room for the parameters of a shader, at most 64 numbers.
_PARAMETER_BYTES = 256
# Words by which an error of the driver is recognised as a lack of memory.
_SIGNS_OF_NO_MEMORY = ("out of memory", "outofmemory", "not enough memory", "maximum buffer size")
_SHADERS = Path(__file__).parent / "shaders"


class Binding(NamedTuple):
    """The beginning of a buffer, which a shader reads or writes."""

    buffer: Any
    size: int


class Device:
    """A device of an adapter. Only one thread at a time may use it.

    Attributes
    ----------
    most_bytes : int
        Maximum number of bytes of an operand in one buffer. Larger operands are split into parts.
    most_products : int
        Maximum number of products in one submission, for a duration of some tenths of a second. A
        call can end between two submissions. A driver may abort a longer one, to keep the screen
        responsive.
    most_iterations : int
        Maximum number of iterations of all loops of a shader together. Mesa's driver for the CPU
        leaves a loop after 65,535 iterations, without an error.
    """

    def __init__(self) -> None:
        adapter = find_adapter()
        self._wgpu: Any = optional_module("wgpu", extra="gpu")
        self.info: Any = adapter.info
        with self.failures():
            self._device = adapter.request_device_sync()
        self._pipelines: dict[str, tuple[Any, Any]] = {}
        self._buffers: dict[str, Any] = {}
        self._running = False
        self.most_bytes = MOST_BYTES
        on_cpu = adapter.info["adapter_type"] == "CPU"
        self.most_products = 1 << (25 if on_cpu else 32)
        self.most_iterations = 60_000 if on_cpu else 1 << 40
        usage = self._wgpu.BufferUsage
        self._usage = usage.STORAGE | usage.COPY_DST | usage.COPY_SRC
        self._usage_of_parameters = usage.UNIFORM | usage.COPY_DST
        self._usage_of_reading = usage.MAP_READ | usage.COPY_DST

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Convert errors of the driver to errors of this package."""
        try:
            yield
        except (MemoryError, self._wgpu.GPUError, RuntimeError) as error:
            if isinstance(error, FlashWasmError) or not self._is_drivers(error):
                raise
            raise _translated(error) from error

    def _is_drivers(self, error: Exception) -> bool:
        """Return False for an error that a user's signal handler has raised."""
        if isinstance(error, (MemoryError, self._wgpu.GPUError)):
            return True
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        module: str = "" if place is None else place.tb_frame.f_globals.get("__name__", "")
        return module.partition(".")[0] == "wgpu"

    def close(self) -> None:
        """Close the device and release its memory."""
        self.drop_buffers()
        self._pipelines.clear()
        self._device.destroy()

    def drop_buffers(self) -> None:
        """Release the memory of all buffers, which are created again when they are used."""
        for buffer in self._buffers.values():
            buffer.destroy()
        self._buffers.clear()

    def answers(self) -> bool:
        """Return True if the device still works. Some drivers lose it when memory runs out."""
        try:
            self.read(self.room("fence", 0), (1,), np.uint32)
        except (MemoryError, self._wgpu.GPUError, RuntimeError):
            return False
        return True

    def room(self, name: str, size: int) -> Binding:
        """Return a buffer of at least ``size`` bytes under a name. Its contents are undefined."""
        return Binding(self._buffer(name, size, self._usage), _padded(size))

    def write(self, name: str, array: Array) -> Binding:
        """Copy an array into the buffer of a name."""
        binding = self.room(name, array.nbytes)
        flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
        if flat.size % 4:
            flat = np.concatenate([flat, np.zeros(-flat.size % 4, np.uint8)])
        if flat.size:
            self._device.queue.write_buffer(binding.buffer, 0, flat)
        return binding

    def read(self, binding: Binding, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return the contents of a buffer after the previous shaders have run."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        staging = self._buffer("reading", size, self._usage_of_reading)
        encoder = self._device.create_command_encoder()
        encoder.copy_buffer_to_buffer(binding.buffer, 0, staging, 0, _padded(size))
        self._device.queue.submit([encoder.finish()])
        staging.map_sync("READ", 0, _padded(size))
        self._running = False
        try:
            view = staging.read_mapped(0, _padded(size), copy=False)
            return np.frombuffer(view, np.uint8, size).view(dtype).reshape(shape).copy()
        finally:
            staging.unmap()

    def wait(self) -> None:
        """Wait until all submissions have run."""
        if self._running:
            # Submissions run in order, so this read ends after them. WebGPU's own call for waiting
            # fails in wgpu 0.32.
            self.read(self.room("fence", 0), (1,), np.uint32)

    def run(
        self,
        source: str,
        parameters: Sequence[int | float],
        operands: Sequence[Binding],
        workgroups: int,
        *,
        written: int = 1,
    ) -> None:
        """Submit a shader.

        Parameters
        ----------
        source : str
            Text of the shader, as `shader` returns it.
        parameters : sequence of int or float
            Values of the fields of its ``Params`` after the first, ``workgroups``.
        operands : sequence of Binding
            Operands for the shader's bindings from 1 on.
        workgroups : int
            Number of workgroups.
        written : int, default 1
            Number of operands that the shader writes to. They are the last ones.
        """
        if workgroups == 0:
            return
        layout, pipeline = self._pipeline(source, len(operands), written)
        given = self._buffer("parameters", _PARAMETER_BYTES, self._usage_of_parameters)
        packed = b"".join(
            struct.pack("<f" if isinstance(x, float) else "<I", x)
            for x in (workgroups, *parameters)
        )
        self._device.queue.write_buffer(given, 0, packed)
        entries = [
            {"binding": i, "resource": {"buffer": x.buffer, "offset": 0, "size": x.size}}
            for i, x in enumerate((Binding(given, _PARAMETER_BYTES), *operands))
        ]
        group = self._device.create_bind_group(layout=layout, entries=entries)
        across = min(workgroups, _MOST_WORKGROUPS)
        encoder = self._device.create_command_encoder()
        encoding = encoder.begin_compute_pass()
        encoding.set_pipeline(pipeline)
        encoding.set_bind_group(0, group)
        encoding.dispatch_workgroups(across, -(-workgroups // across))
        encoding.end()
        self._device.queue.submit([encoder.finish()])
        self._running = True

    def _pipeline(self, source: str, operands: int, written: int) -> tuple[Any, Any]:
        """Return the layout of a shader's bindings and its compiled form."""
        found = self._pipelines.get(source)
        if found is not None:
            return found
        kinds = ["uniform", *["read-only-storage"] * (operands - written), *["storage"] * written]
        stage = self._wgpu.ShaderStage.COMPUTE
        layout = self._device.create_bind_group_layout(
            entries=[
                {"binding": i, "visibility": stage, "buffer": {"type": kind}}
                for i, kind in enumerate(kinds)
            ]
        )
        # An automatic layout would leave out bindings that a shader's variant does not use.
        pipeline = self._device.create_compute_pipeline(
            layout=self._device.create_pipeline_layout(bind_group_layouts=[layout]),
            compute={
                "module": self._device.create_shader_module(code=source),
                "entry_point": "main",
            },
        )
        self._pipelines[source] = layout, pipeline
        return layout, pipeline

    def _buffer(self, name: str, size: int, usage: int) -> Any:
        """Return the buffer of a name; replace it if it is too small."""
        found = self._buffers.get(name)
        if found is not None and found.size >= size:
            return found
        if found is not None:
            # Release the old buffer first, so that both need not fit into memory at once.
            del self._buffers[name]
            found.destroy()
        capacity = max(1 << max(size - 1, 1).bit_length(), _LEAST_BYTES)
        buffer = self._device.create_buffer(size=capacity, usage=usage)
        self._buffers[name] = buffer
        return buffer


def shader(*names: str, **values: bool | int) -> str:
    """Return the text of a shader: its constants, then the files with these names.

    Parameters
    ----------
    *names : str
        Names of files in the folder ``shaders``, without suffix.
    **values : bool or int
        Constants that the files require.
    """
    lines = [
        f"const {name}: {'bool' if isinstance(x, bool) else 'u32'} = {str(x).lower()};"
        for name, x in values.items()
    ]
    return "\n".join(lines + [_file(name) for name in names])


@cache
def _file(name: str) -> str:
    """Return the text of a shader file."""
    return (_SHADERS / f"{name}.wgsl").read_text(encoding="utf-8")


def _padded(size: int) -> int:
    """Round up a number of bytes to whole elements of any type that a shader can bind."""
    return max(-(-size // 16), 1) * 16


def _translated(error: Exception) -> FlashWasmError:
    """Return the error of this package for an error of the driver or of NumPy."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError) or any(sign in text.lower() for sign in _SIGNS_OF_NO_MEMORY):
        return OutOfMemoryError(0, message=f"the GPU or this process is out of memory: {text}")
    return DeviceError(f"the GPU failed; the next call opens it again: {text}")
