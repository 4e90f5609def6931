"""Node's V8 runs the same modules by the written ABI, and gets the same bytes."""

import ctypes
import hashlib
import json
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from flashwasm.host.instance import INSTANCE_BYTES, STACK_BYTES, Instance
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory
from flashwasm.kernels import ATTENTION, KERNELS

HERE = Path(__file__).resolve().parent
MODULES = HERE.parent / "src" / "flashwasm" / "_wasm"
NODE = shutil.which("node")
PAGES = 64
INSTANCE = 2 * PAGE_BYTES
DATA = INSTANCE + INSTANCE_BYTES
ATTENTION_FORMAT = "<35i6I3f"
WORKSPACE = INSTANCE + STACK_BYTES + 256

# Digests of what memory holds after calls_of_every_kernel: the same on every host, so the same here
# as wherever they were first computed. They change with the modules and with the calls.
GOLDEN = {
    "relaxed": "7ee26087434748650f04c9fa727e1f5478de51be5965093f674d8e6ee57420cd",
    "simd128": "f42e89c241ba80cb2d7da4b7e474c654973f8dafd3de31818b41bb4819f20aed",
    "scalar": "24176cf5cfb8867ce13b6cb95587cd14fafce3e8b1b2fb15692b7d5cc574015b",
}


class Image:
    """Operands laid out one after another from DATA, as any host might lay them."""

    def __init__(self):
        self.content = bytearray()

    def put(self, array):
        address = DATA + len(self.content)
        self.content += array.tobytes()
        self.content += bytes(-len(self.content) % 64)
        return address

    def floats(self, *shape, seed=0):
        """Put numbers in [-2, 2) that no generator's release can change."""
        n = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed << 20)
        mixed = (n ^ (n >> np.uint32(7))) * np.uint32(2654435761)
        return self.put((mixed >> np.uint32(8)).astype(np.float32) * np.float32(2**-22) - 2)

    def room(self, count):
        return self.put(np.zeros(count, np.float32))


def calls_of_every_kernel(image):
    """Return (export, arguments) for each kernel, at sizes that are no multiple of a tile."""
    x, ids = image.floats(37, 41), image.put(np.int32([3, 0, 36, 5]))
    weight, bias = image.floats(41, seed=1), image.floats(41, seed=2)
    other = image.floats(41, 29, seed=3)
    q, k, v = (image.floats(4, 75, 20, seed=s) for s in (4, 5, 6))
    mask = image.put(np.arange(75 * 75) % 7 != 3)
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
    slopes, sinks = image.floats(4, seed=9), image.floats(4, seed=10)
    structure = struct.pack(
        ATTENTION_FORMAT,
        *(WORKSPACE, q, k, v, image.room(4 * 75 * 20), image.room(4 * 75), mask, slopes, sinks),
        *(0, 4, 1, 0, 75, 0, 75, 75, 20, 20, 20, 20, 20, 20),
        *(1500, 1500, 1500, 1500, 75, 1, 0, 75, 1, 1, 60, 0),
        *(7, 8, 9, 0, 0, 1 << 30, 4 / 3, 0.25, 2.0),
    )
    calls["attention_f32"] = (image.put(np.frombuffer(structure, np.uint8)),)
    return calls


def run_in_wasmtime(variant, image, calls):
    memory = SharedMemory(PAGES, PAGES)
    view = (ctypes.c_ubyte * len(image)).from_buffer(memory.content, DATA)
    view[:] = image
    instance = Instance(variant, memory, INSTANCE)
    table = {kernel.export: kernel for kernel in KERNELS}
    for export, arguments in calls.items():
        kernel = table[export]
        given = arguments[1:] if kernel.workspace else arguments
        if kernel is ATTENTION:
            at = arguments[0] - DATA
            given = struct.unpack_from(ATTENTION_FORMAT, image, at)[1:]
        assert instance.call(kernel, given) == 0, export
    return bytes(view)


def run_in_node(variant, image, calls, folder):
    (folder / "image").write_bytes(image)
    request = {
        "module": str(MODULES / f"{variant}.wasm"),
        "image": str(folder / "image"),
        "output": str(folder / "output"),
        "pages": PAGES,
        "address": DATA,
        "stackTop": INSTANCE + STACK_BYTES,
        "calls": list(calls.items()),
    }
    (folder / "request.json").write_text(json.dumps(request))
    command = [NODE, "--experimental-wasm-relaxed-simd", str(HERE / "second_host.mjs")]
    done = subprocess.run(
        [*command, str(folder / "request.json")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [0] * len(calls)
    return (folder / "output").read_bytes()


def laid_out():
    image = Image()
    calls = calls_of_every_kernel(image)
    assert calls.keys() == {kernel.export for kernel in KERNELS}
    return bytes(image.content), calls


@pytest.mark.parametrize("variant", GOLDEN)
def test_every_host_gets_the_golden_bytes(variant):
    memory = run_in_wasmtime(variant, *laid_out())
    assert hashlib.sha256(memory).hexdigest() == GOLDEN[variant]


@pytest.mark.skipif(NODE is None, reason="Node is not installed")
@pytest.mark.parametrize("variant", GOLDEN)
def test_node_gets_the_same_bytes(variant, tmp_path):
    content, calls = laid_out()
    here = run_in_wasmtime(variant, content, calls)
    assert here != content, "nothing was written"
    assert here == run_in_node(variant, content, calls, tmp_path)
