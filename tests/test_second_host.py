"""Other engines run the same modules by the written ABI, and get the same bytes."""

import ctypes
import hashlib
import json
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from flashwasm.host.instance import INSTANCE_BYTES, STACK_BYTES, Instance
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory
from flashwasm.kernels import ATTENTION, KERNELS

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / "src" / "flashwasm" / "_wasm"
HOSTS = {
    "node": [
        shutil.which("node"),
        "--experimental-wasm-relaxed-simd",
        str(HERE / "second_host.mjs"),
    ],
    # A process of its own: wasmtime aborts where Pulley meets what it does not know.
    "pulley": [sys.executable, str(HERE / "pulley_host.py")],
}
PAGES = 64
INSTANCE = 2 * PAGE_BYTES
DATA = INSTANCE + INSTANCE_BYTES
ATTENTION_FORMAT = "<42i6I3f"
WORKSPACE = INSTANCE + STACK_BYTES + 256
# What rows have summed up is of no concern to anyone, nor are the NaNs in it.
PARTIALS = (PAGES - 1) * PAGE_BYTES

# NaNs of either sign, quiet and signalling, of several payloads; both infinities.
SPECIAL = np.array(
    [0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7F800000, 0x7FC12345, 0xFF800000], np.uint32
)

# Digests of what memory holds after calls_of_every_kernel, on plain operands and with SPECIAL among
# them: the same on every host, so the same here as wherever they were first computed. They change
# with the modules and with the calls.
GOLDEN = {
    ("relaxed", "plain"): "e86ec7de700ef051dbe5eb89ce155152ae094c182bcb7bd224e0e6b9ee7f1e36",
    ("relaxed", "special"): "20e6922197a47c77a99d841e7aaf2fab9fea58832c61e5ac4b28d6fc2d30e865",
    ("simd128", "plain"): "21deb0506fafb4f2101ffe48d4ad983b2fa000d80245ba44f602d651002d92b4",
    ("simd128", "special"): "3a2190867f2211ea5ceb5a99c7ccd5ea3c6a4fc5bd06bbb26a279222d3b8518f",
    ("scalar", "plain"): "eb9e9d75a5ad84f3a9e4be3f2fe80e03787525d0f60e84f7b29497f1e6861628",
    ("scalar", "special"): "9adc8f93f311d4b6e76f95014b3ac7ad9f664c12e20ee30fee9576f2172339bf",
}


class Image:
    """Operands laid out one after another from DATA, as any host might lay them.

    Where `special`, one float in 97 is a NaN or an infinity.
    """

    def __init__(self, *, special):
        self.content = bytearray()
        self.special = special

    def put(self, array):
        address = DATA + len(self.content)
        self.content += array.tobytes()
        self.content += bytes(-len(self.content) % 64)
        return address

    def floats(self, *shape, seed=0):
        """Put numbers in [-2, 2) that no generator's release can change."""
        n = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed << 20)
        mixed = (n ^ (n >> np.uint32(7))) * np.uint32(2654435761)
        values = (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2**-22) - 2
        if self.special:
            values.view(np.uint32)[seed::97] = np.resize(SPECIAL, len(values[seed::97]))
        return self.put(values)

    def room(self, count):
        return self.put(np.zeros(count, np.float32))


def calls_of_every_kernel(image):
    """Return (export, arguments) for each kernel, at sizes that are no multiple of a tile."""
    x, ids = image.floats(37, 41), image.put(np.int32([3, 0, 36, 5]))
    weight, bias = image.floats(41, seed=1), image.floats(41, seed=2)
    other = image.floats(41, 29, seed=3)
    q, k, v = (image.floats(4, 75, 20, seed=s) for s in (4, 5, 6))
    angles = image.floats(37, 10, seed=8)
    offsets = image.put(np.int32([0, 5, 5, 37]))
    n = 37 * 41
    calls = {
        "matmul_f32": (WORKSPACE, x, other, 0, image.room(37 * 29), 37, 29, 41, 41, 1, 29, 1, 29),
        "vecadd_f32": (x, x, image.room(n), n),
        "softmax_f32": (x, image.room(n), 37, 41),
        "layer_norm_f32": (x, weight, bias, image.room(n), 37, 41, 1e-5),
        "rms_norm_f32": (x, weight, image.room(n), 37, 41, 1e-5),
        "gelu_f32": (x, image.room(n), n),
        "gelu_tanh_f32": (x, image.room(n), n),
        "embedding_f32": (ids, x, image.room(4 * 41), 4, 37, 41),
        "rotary_embedding_f32": (x, angles, angles, image.room(n), 37, 1, 41, 20, 0, 41, 41),
        "mean_pool_f32": (x, offsets, image.room(3 * 41), 3, 41, 1),
        "cosine_top_k_f32": (
            *(WORKSPACE, x, x, image.room(37 * 5), image.room(37 * 5)),
            *(37, 37, 41, 5, 0, 0),
        ),
        "attention_materialized_f32": (
            *(WORKSPACE, q, k, v, image.room(75 * 75), image.room(75 * 20)),
            *(75, 75, 20, 20, 0.25),
        ),
    }
    calls |= attention_calls(image, q, k, v)
    return calls


def attention_calls(image, q, k, v):
    """Return attention by tiles, one query at a time, and on int8."""
    mask = image.put(np.arange(75 * 75) % 7 != 3)
    slopes, sinks = image.floats(4, seed=9), image.floats(4, seed=10)
    steps = np.arange(2 * 4 * 80 * 32, dtype=np.int64) * 73 % 255 - 127
    int8 = image.put(steps.astype(np.int8))
    scales = image.floats(4, 80, seed=11)
    rows = (20, 20, 20, 20, 1500, 1500, 1500, 1500, 75)
    kinds = {
        "attention_f32": ((q, k, v), (0, 0, 0), (0, 0), rows),
        "attention_f32 by rows": ((q, k, v), (0, 0, PARTIALS), (0, 0), rows),
        "attention_f32 on int8": (
            (q, int8, int8 + 4 * 80 * 32),
            (scales, scales, PARTIALS),
            (3, 80),
            (20, 24, 32, 20, 1500, 80 * 24, 80 * 32, 1500, 75),
        ),
    }
    calls = {}
    for name, (operands, more, storage, strides) in kinds.items():
        structure = struct.pack(
            ATTENTION_FORMAT,
            *(WORKSPACE, *operands, image.room(4 * 75 * 20), image.room(4 * 75)),
            *(mask, slopes, sinks, *more),
            *(0, 4, 1, 0, 75, 0, 75, 1, 75, 75, 20, 20, *storage, *strides),
            *(1, 0, 75, 1, 1, 60, 0),
            *(7, 8, 9, 0, 0, 1 << 30, 4 / 3, 0.25, 2.0),
        )
        calls[name] = (image.put(np.frombuffer(structure, np.uint8)),)
    return calls


def run_in_wasmtime(variant, image, calls):
    memory = SharedMemory(PAGES, PAGES)
    view = (ctypes.c_ubyte * len(image)).from_buffer(memory.content, DATA)
    view[:] = image
    instance = Instance(variant, memory, INSTANCE)
    table = {kernel.export: kernel for kernel in KERNELS}
    for name, arguments in calls.items():
        export = name.split()[0]
        kernel = table[export]
        given = arguments[1:] if kernel.workspace else arguments
        if kernel is ATTENTION:
            at = arguments[0] - DATA
            given = struct.unpack_from(ATTENTION_FORMAT, image, at)[1:]
        assert instance.call(kernel, given) == 0, export
    return bytes(view)


def run_elsewhere(command, variant, image, calls, folder):
    """Make the calls in another process, which is told of them by a file."""
    (folder / "image").write_bytes(image)
    request = {
        "module": str(MODULES / f"{variant}.wasm"),
        "image": str(folder / "image"),
        "output": str(folder / "output"),
        "pages": PAGES,
        "address": DATA,
        "stackTop": INSTANCE + STACK_BYTES,
        "calls": [(name.split()[0], arguments) for name, arguments in calls.items()],
    }
    (folder / "request.json").write_text(json.dumps(request))
    done = subprocess.run(
        [*command, str(folder / "request.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * len(calls)
    return (folder / "output").read_bytes()


def laid_out(operands):
    image = Image(special=operands == "special")
    calls = calls_of_every_kernel(image)
    assert {name.split()[0] for name in calls} == {kernel.export for kernel in KERNELS}
    return bytes(image.content), calls


@pytest.mark.parametrize(("variant", "operands"), GOLDEN)
def test_every_host_gets_the_golden_bytes(variant, operands):
    memory = run_in_wasmtime(variant, *laid_out(operands))
    assert hashlib.sha256(memory).hexdigest() == GOLDEN[variant, operands]


@pytest.mark.parametrize("host", HOSTS)
@pytest.mark.parametrize(("variant", "operands"), GOLDEN)
def test_other_hosts_get_the_same_bytes(variant, operands, host, tmp_path):
    if HOSTS[host][0] is None:
        pytest.skip("Node is not installed")
    content, calls = laid_out(operands)
    here = run_in_wasmtime(variant, content, calls)
    assert here != content, "nothing was written"
    assert here == run_elsewhere(HOSTS[host], variant, content, calls, tmp_path)
