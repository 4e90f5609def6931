"""Other engines run the same modules by the documented ABI, and get the same bytes."""

import ctypes
import hashlib
import json
import struct
import subprocess
import sys

import numpy as np
import pytest

from bench.node_process import packaged_node
from checkout import HELPERS, SOURCE, TESTS
from flashwasm.host.instance import INSTANCE_BYTES, STACK_BYTES, Instance
from flashwasm.host.shared_memory import PAGE_BYTES, SharedMemory
from flashwasm.kernel_table import ATTENTION, KERNELS

MODULES = SOURCE / "_wasm"
HOSTS = {
    # Older Nodes have relaxed SIMD as an experiment; Node 20 sums each product of bytes twice.
    "node": [packaged_node(), str(TESTS / "host" / "second_host.mjs")],
    # It runs in a process of its own, because wasmtime aborts on instructions that Pulley lacks.
    "pulley": [sys.executable, str(HELPERS / "pulley_host.py")],
}
PAGES = 64
INSTANCE = 2 * PAGE_BYTES
DATA = INSTANCE + INSTANCE_BYTES
NO_KEY = 0xFF800000FFFFFFFF  # A search fills its heaps with it at first.
WORKSPACE = INSTANCE + STACK_BYTES + 256
# Address of memory that is not compared, in which kernels keep partial results: NaNs in these may
# have any bits.
PARTIALS = (PAGES - 1) * PAGE_BYTES

# NaNs of either sign, quiet and signalling, of several payloads; both infinities.
SPECIAL = np.array(
    [0xFFC00000, 0x7F800001, 0xFFFFFFFF, 0x7F800000, 0x7FC12345, 0xFF800000], np.uint32
)

# Digests of memory after calls_of_every_kernel, on plain operands and with SPECIAL among them. They
# are the same on every host, so this machine must get those of the machine that first computed
# them. They change only if the modules or the calls change.
GOLDEN = {
    ("relaxed", "plain"): "19ea8caee160fd66f9c1844c375b4cd948efd556e57c65d5a0a5358380e7c56d",
    ("relaxed", "special"): "3ef96c782f109f1786ac1876a715595a37ccdc48d7e281a9a426c18fb9e5e534",
    ("simd128", "plain"): "0dd945227ea1116346c0778494fab65779bd317c9f5d49e69bc95031753ee128",
    ("simd128", "special"): "e4eaea430eb589d24537829480841e46115ca49e8f53748a28be9468cfd14ada",
    ("scalar", "plain"): "c9e6f6428646917e7dc16beb168de05bcf2664cafd664ad86f11b5b1fe22e5d3",
    ("scalar", "special"): "e04487b4a93c1e3da5af61f1f546f501d30b212a1f2b377fb32554f8d46ba042",
}


class Image:
    """Linear memory from DATA on, with operands one after another, as any host might place them.

    If `special` is true, one float in 97 is a NaN or an infinity.
    """

    def __init__(self, *, special):
        self.content = bytearray()
        self.special = special

    def put(self, array):
        """Append an array and return its address."""
        address = DATA + len(self.content)
        self.content += array.tobytes()
        self.content += bytes(-len(self.content) % 64)
        return address

    def floats(self, *shape, seed=0, special=True):
        """Append numbers in [-2, 2) that, unlike a generator's, no release of NumPy changes."""
        n = np.arange(int(np.prod(shape)), dtype=np.uint32) + np.uint32(seed << 20)
        mixed = (n ^ (n >> np.uint32(7))) * np.uint32(2654435761)
        values = (mixed >> np.uint32(8)).astype(np.float32) * np.float32(2**-22) - 2
        if self.special and special:
            values.view(np.uint32)[seed::97] = np.resize(SPECIAL, len(values[seed::97]))
        return self.put(values)

    def room(self, count):
        """Append ``count`` zeros, as room for a result."""
        return self.put(np.zeros(count, np.float32))


def calls_of_every_kernel(image):
    """Return the arguments of each kernel by its export, at sizes that no tile divides."""
    x, ids = image.floats(37, 41), image.put(np.int32([3, 0, 36, 5]))
    weight, bias = image.floats(41, seed=1), image.floats(41, seed=2)
    other = image.floats(41, 29, seed=3)
    q, k, v = (image.floats(4, 75, 20, seed=s) for s in (4, 5, 6))
    angles = image.floats(37, 10, seed=8)
    offsets = image.put(np.int32([0, 5, 5, 37]))
    n = 37 * 41
    # Queries, rows, dim, k, number of the first row, metric.
    top_k_sizes = (37, 37, 41, 5, 0, 0, 0)
    # Queries, keys, dim, value dim, scale.
    materialized_sizes = (75, 75, 20, 20, 0.25)
    calls = {
        "matmul_f32": (WORKSPACE, x, other, 0, image.room(37 * 29), 37, 29, 41, 41, 1, 29, 1, 29),
        "matmul_i8": product_of_codes(image, x, 0),
        "matmul_i8 with GELU": product_of_codes(image, x, 1),
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
            WORKSPACE,
            x,
            x,
            image.room(37 * 5),
            image.room(37 * 5),
            *top_k_sizes,
        ),
        "attention_materialized_f32": (
            WORKSPACE,
            q,
            k,
            v,
            image.room(75 * 75),
            image.room(75 * 20),
            *materialized_sizes,
        ),
    }
    calls |= attention_calls(image, q, k, v)
    calls |= calls_of_indexes(image) | adapter_calls(image, x)
    return calls | calls_on_pieces(image, x)


def calls_on_pieces(image, x):
    """Return calls that pass over rows of two pieces, of 4096 and of 135 elements."""
    long, weight, bias = (image.floats(4231, seed=s) for s in (12, 13, 14))
    pieces = ((0, 4096), (4 * 4096, 135))
    softmax, norm, mean = image.room(4231), image.room(4231), image.room(4231)
    states = [image.put(np.float32([first, 0])) for first in (-np.inf, 0, 0)]
    calls = {}
    for number in (0, 1, 2, 3):
        for at, n in pieces:
            name = f"pass {number} at {at}"
            if number < 3:
                calls[f"softmax_piece_f32 {name}"] = (long + at, softmax + at, states[0], n, number)
            calls[f"norm_piece_f32 {name}"] = (
                long + at,
                weight + at,
                bias + at,
                norm + at,
                states[1],
                n,
                4231,
                1e-5,
                number,
            )
            # Two rows that overlap.
            calls[f"mean_pool_piece_f32 {name}"] = (
                long + at,
                mean + at,
                states[2],
                2 if number == 1 else 0,
                n - 5,
                n,
                2,
                number,
            )
    product = image.room(8 * 29)
    other = image.floats(64 * 29, seed=15)
    calls["matmul_f32 begins"] = (WORKSPACE, x, other, 0, product, 8, 29, 41, 41, 1, 29, 1, 29)
    calls["matmul_f32 goes on"] = (
        WORKSPACE,
        x,
        other,
        product,
        product,
        8,
        29,
        41,
        41,
        1,
        29,
        1,
        29,
    )
    return calls


def product_of_codes(image, x, activation):
    """Return a call that multiplies 37 rows of 41 by codes of 29 columns, padded to 44 by 32."""
    codes = np.arange(44 * 32, dtype=np.int64) * 73 % 255 - 127
    codes = codes.astype(np.int8).reshape(11, 4, 4, 8)
    codes.reshape(44, 32)[41:] = 0
    sums = image.put(codes.reshape(44, 32).sum(axis=0, dtype=np.int32))
    panels = image.put(np.ascontiguousarray(codes.transpose(2, 0, 3, 1)))
    scales, bias = image.floats(32, seed=17), image.floats(29, seed=18)
    operands = (x, panels, scales, sums, bias, image.room(37 * 29))
    return (WORKSPACE, *operands, 37, 29, 41, 41, 29, activation)


def attention_calls(image, q, k, v):
    """Return calls of attention by tiles, one query at a time, and on int8; and its gradient."""
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
    # All heads, queries and keys, and their numbers; the fields are in the order of wasm/abi.h.
    sizes = (0, 4, 1, 0, 75, 0, 75, 1, 75, 75, 20, 20)
    # A boolean mask, its strides, and a window about a diagonal.
    masking = (1, 0, 75, 1, 1, 60, 0)
    # Dropout of a quarter, scale and softcap.
    numbers = (7, 8, 9, 0, 0, 1 << 30, 4 / 3, 0.25, 2.0)
    calls = {}
    for name, (operands, more, storage, strides) in kinds.items():
        out, lse = image.room(4 * 75 * 20), image.room(4 * 75)
        addresses = (WORKSPACE, *operands, out, lse, mask, slopes, sinks, *more)
        structure = struct.pack(
            structure_format(ATTENTION),
            *addresses,
            *sizes,
            *storage,
            *strides,
            *masking,
            *numbers,
        )
        calls[name] = (image.put(np.frombuffer(structure, np.uint8)),)
        if name == "attention_f32":
            first = structure
    # The gradient of the first call: it reads the output and the log-sum-exp that this wrote.
    dout, sums = image.floats(4, 75, 20, seed=11), [image.room(4 * 75 * 20) for _ in range(3)]
    structure = first + struct.pack("<12i", dout, *sums, *[20] * 4, *[1500] * 4)
    calls["attention_backward_f32"] = (image.put(np.frombuffer(structure, np.uint8)),)
    return calls


def structure_format(kernel):
    """Return the format of a kernel's structure of arguments, which begins with the workspace."""
    return "<I" + kernel.signature.translate({ord("p"): "I", ord("u"): "I"})


def calls_of_indexes(image):
    """Return calls that store and search 37 vectors, and that build, search and repair a graph."""
    n, dim, stride, k, m = 37, 41, 48, 5, 4
    x = image.floats(n, dim, special=False)  # An index refuses NaN and infinities.
    table = {kernel.export: kernel for kernel in KERNELS}

    def structure(export, *fields):
        packed = struct.pack(structure_format(table[export]), WORKSPACE, *fields)
        return (image.put(np.frombuffer(packed, np.uint8)),)

    rows, panels = image.room(n * stride), image.room(40 * dim)
    codes, code_panels = image.room(n * stride), image.room(40 * (stride + 4))
    scales, squares, errors = (image.room(40) for _ in range(3))
    heaps = [image.put(np.full(n * k, NO_KEY, np.uint64)) for _ in range(6)]
    nodes, entry = np.arange(n, dtype=np.uint32), image.put(np.uint32([0xFFFFFFFF, 0]))
    levels = np.uint8(nodes % 5 == 0) + np.uint8(nodes % 20 == 0)
    places = np.uint32(np.cumsum(levels) - levels)
    links, upper_links = image.room(n * 2 * m), image.room(64 * m)
    upper_at, level_of = image.put(places), image.put(levels)
    graph = (rows, codes, scales, squares, links, upper_links, upper_at, level_of, entry)
    visited, order = image.room(2), image.put(nodes)
    gone = image.put(np.uint8(nodes % 6 == 1))
    beside = image.put(nodes[nodes % 6 != 1])
    shape = (n, dim, 2, m)
    vectors = (x, rows, panels, codes, code_panels, scales, squares, errors)
    coded = (x, code_panels, scales, squares, errors, 0, 0)
    return {
        "index_store_f32": structure("index_store_f32", *vectors, 0, n, dim, 2, 2),
        "index_score_f32": structure("index_score_f32", x, rows, 0, heaps[0], n, 0, n, dim, k, 2),
        "flat_search_f32": structure(
            "flat_search_f32", x, panels, 0, 0, 0, 0, 0, heaps[1], n, 0, n, dim, k, 2
        ),
        "flat_search_i8": structure("flat_search_i8", *coded, heaps[2], n, 0, n, dim, k, 2),
        "flat_search_i8 of products": structure(
            "flat_search_i8", *coded, heaps[4], n, 0, n, dim, k, 1
        ),
        "flat_search_f32 of candidates": structure(
            "flat_search_f32", x, panels, 0, 0, 0, 0, heaps[2], heaps[5], n, 0, k, dim, k, 2
        ),
        "hnsw_insert_f32": structure(
            "hnsw_insert_f32", *graph, order, 0, visited, 0, *shape, n, 1, 20
        ),
        "hnsw_search_f32": structure(
            "hnsw_search_f32", *graph, x, heaps[3], visited, 0, *shape, n, k, 20
        ),
        "hnsw_repair_f32": structure(
            "hnsw_repair_f32", *graph, beside, 0, visited, gone, *shape, 30, 1, 20
        ),
    }


def adapter_calls(image, x):
    """Return calls for an adapter's output, its training steps, and its Fisher information.

    The steps take plain numbers only, because an adapter refuses NaN and infinities.
    """
    dim, stride, rank, candidates = 41, 44, 3, 5

    def padded(count, seed):
        """Put rows of 41, with zeros up to a multiple of four."""
        values = np.zeros((count, stride), np.float32)
        at = image.floats(count, dim, seed=seed) - DATA
        values[:, :dim] = np.frombuffer(image.content, np.float32, count * dim, at).reshape(-1, dim)
        return values

    odd_weights = image.put(padded(2 * rank, seed=16))
    special, image.special = image.special, False
    learned, *blocks = (image.put(padded(2 * rank, seed=s)) for s in (12, 13, 14))
    moments, squares = image.room(2 * rank * stride), image.room(2 * rank * stride)
    rows = padded(1 + candidates, seed=15).tobytes()
    image.special = special

    def adapter(weights, first, second, fisher, anchor, *sizes):
        addresses = (weights, first, second, fisher, anchor, PARTIALS)
        packed = struct.pack("<6I3i3f", *addresses, *sizes, rank, 0.5, 0.125, 2.0)
        return image.put(np.frombuffer(packed, np.uint8))

    def sample(loss, count, adapted, metric, accepted):
        head = (loss, count, adapted, metric, accepted, 0.5, 0.25, 1.5)
        packed = struct.pack("<5i3f32x", *head)
        return image.put(np.frombuffer(packed + rows, np.uint8))

    by_adam = adapter(learned, moments, squares, *blocks, dim, dim)
    plain = adapter(blocks[0], 0, 0, 0, 0, dim, stride)
    odd = adapter(odd_weights, 0, 0, 0, 0, dim, dim)
    contrastive, feedback = sample(1, candidates, 1, 0, 1), sample(2, 1, 0, 1, 1)
    fisher = [image.room(2 * rank * stride) for _ in range(3)]
    return {
        "lora_apply_f32": (odd, x, image.room(37 * dim), 37),
        "lora_update_f32": (WORKSPACE, by_adam, contrastive, image.room(1), 0.01, 1.5),
        "lora_update_f32 on feedback": (WORKSPACE, by_adam, feedback, image.room(1), 0.01, 1.25),
        "lora_update_f32 plain": (
            WORKSPACE,
            plain,
            sample(0, 1, 0, 0, 0),
            image.room(1),
            0.01,
            1.0,
        ),
        "lora_fisher_f32": (WORKSPACE, odd, contrastive, fisher[0], 0.5),
        "lora_fisher_f32 on feedback": (WORKSPACE, by_adam, feedback, fisher[1], 0.5),
        "lora_fisher_f32 of a regression": (WORKSPACE, odd, sample(0, 1, 0, 0, 0), fisher[2], 0.5),
    }


def run_in_wasmtime(variant, image, calls):
    """Make the calls on one of the package's instances, and return the image after them."""
    memory = SharedMemory(PAGES, PAGES)
    view = (ctypes.c_ubyte * len(image)).from_buffer(memory.content, DATA)
    view[:] = image
    instance = Instance(variant, memory, INSTANCE)
    table = {kernel.export: kernel for kernel in KERNELS}
    for name, arguments in calls.items():
        export = name.split()[0]
        kernel = table[export]
        given = arguments[1:] if kernel.workspace else arguments
        if kernel.in_memory:
            at = arguments[0] - DATA
            given = struct.unpack_from(structure_format(kernel), image, at)[1:]
        assert instance.call(kernel, given) == 0, export
    return bytes(view)


def run_elsewhere(command, variant, image, calls, folder):
    """Make the calls in another process, which reads them from a file."""
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
    """Return the image before the calls, and the calls, which cover every kernel."""
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
        pytest.skip("`make bench-peers` installs the Node that is compared")
    content, calls = laid_out(operands)
    here = run_in_wasmtime(variant, content, calls)
    assert here != content, "nothing was written"
    assert here == run_elsewhere(HOSTS[host], variant, content, calls, tmp_path)
