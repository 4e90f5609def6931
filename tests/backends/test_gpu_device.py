"""The device of a GPU: its cached objects, and the errors for its failures."""

import os
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import flashwasm as fw
from every_operation import in_child, measured_in_child
from flashwasm.backends.gpu import adapter, device
from flashwasm.backends.gpu.backend import GpuBackend
from gpu_calls import UNLIMITED
from sample_arrays import assert_same_bits, normal

SHADERS = sorted(Path(device.__file__).parent.glob("shaders/*.wgsl"))
# Bytes that every implementation of WebGPU lets a workgroup share. More is not refused everywhere,
# though what it does is undefined.
MOST_SHARED = 16384
TYPES = {"f32": 4, "u32": 4, "Bounds": 16}


@pytest.mark.parametrize("path", SHADERS, ids=lambda path: path.stem)
def test_workgroups_share_no_more_than_every_device_has(path):
    text = path.read_text(encoding="utf-8")
    constants = {name: int(x) for name, x in re.findall(r"const (\w+)(?:: u32)? = (\d+)u;", text)}
    shared = re.findall(r"var<workgroup> \w+: array<(\w+), ([^>]+)>", text)
    assert len(shared) == text.count("var<workgroup>")
    sizes = []
    for kind, length in shared:
        factors = [factor.strip().removesuffix("u") for factor in length.split("*")]
        count = np.prod([constants.get(x) or int(x) for x in factors])
        sizes.append(TYPES[kind] * count)
    assert sum(sizes) <= MOST_SHARED


def test_pipelines_and_buffers_are_used_again(gpu):
    x = normal(3, 5)
    gpu.softmax(x, UNLIMITED)
    held = gpu._device
    pipelines, buffers = dict(held._pipelines), dict(held._buffers)
    gpu.softmax(x, UNLIMITED)
    assert held._pipelines == pipelines
    assert held._buffers == buffers


def test_a_lost_device_is_an_error_and_the_next_call_works(gpu):
    x = normal(3, 5)
    expected = gpu.softmax(x, UNLIMITED)
    gpu._device._device.destroy()
    with pytest.raises(fw.DeviceError, match=r"the next call opens it again: .*lost"):
        gpu.softmax(x, UNLIMITED)
    assert_same_bits(gpu.softmax(x, UNLIMITED), expected)


def test_no_memory_is_an_error_and_the_next_call_works(gpu, monkeypatch):
    """The device is asked for a buffer that is larger than any."""
    x = normal(3, 5)
    expected = gpu.softmax(x, UNLIMITED)
    with monkeypatch.context() as patch:
        patch.setattr(device, "_LEAST_BYTES", 1 << 40)
        gpu.close()
        with pytest.raises(fw.OutOfMemoryError, match="the GPU or this process is out of memory"):
            gpu.softmax(x, UNLIMITED)
    assert_same_bits(gpu.softmax(x, UNLIMITED), expected)


OUT_OF_MEMORY = """
import re, resource, warnings
from pathlib import Path
from flashwasm.backends.backend import Limits
from flashwasm.backends.gpu.backend import GpuBackend
gpu, limits = GpuBackend(), Limits(1, lambda: None)
small, large = np.ones((4, 4), np.float32), np.ones((15, 1 << 20), np.float32)
gpu.softmax(small, limits)
used = 1024 * int(re.search(r"VmSize:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
for more in (30, 120):
    resource.setrlimit(resource.RLIMIT_AS, (used + (more << 20), -1))
    try:
        gpu.softmax(large, limits)
    except fw.OutOfMemoryError:
        print(more)
    resource.setrlimit(resource.RLIMIT_AS, (-1, -1))
    assert (gpu.softmax(small, limits) == 0.25).all()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the process's memory is read from /proc")
def test_a_driver_without_memory_is_an_error_and_the_next_call_works(gpu):
    """A driver on the CPU takes its memory from the process: here it fails at two places."""
    if gpu._info["adapter_type"] != "CPU":
        pytest.skip("the adapter is a GPU, whose memory no process can bound")
    assert in_child(OUT_OF_MEMORY).split() == ["30", "120"]


def test_a_call_that_is_ended_leaves_the_device_usable(gpu):
    x = normal(50, 70)
    expected = gpu.softmax(x, UNLIMITED)
    calls = []

    def check():
        calls.append(1)
        if len(calls) == 3:
            raise fw.DeadlineExceeded("too late")

    gpu.most_bytes = 2000
    held = gpu._device
    with pytest.raises(fw.DeadlineExceeded, match="too late"):
        gpu.softmax(x, UNLIMITED._replace(check=check))
    assert gpu._device is held
    assert_same_bits(gpu.softmax(x, UNLIMITED), expected)


def test_an_error_of_a_users_signal_handler_stays_what_it_is(gpu):
    def check():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match=r"^stop$"):
        gpu.softmax(normal(2, 2), UNLIMITED._replace(check=check))


def test_a_closed_backend_opens_again(gpu):
    gpu.close()
    assert gpu.softmax(normal(1, 1), UNLIMITED) == 1


def test_it_says_what_computes(gpu):
    assert gpu.description()
    assert gpu.versions().startswith("wgpu 0.")
    assert "dropout" not in gpu.options("attention")


def test_an_adapter_on_the_cpu_is_warned_of_once(gpu, monkeypatch):
    if gpu._info["adapter_type"] != "CPU":
        pytest.skip("the adapter is a GPU")
    monkeypatch.setattr(adapter._Touched, "warned", False)
    with pytest.warns(RuntimeWarning, match="the backend 'gpu' runs on the CPU: its only adapter"):
        adapter.find_adapter()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        adapter.find_adapter()


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wgpu", None)
    with pytest.raises(fw.CapabilityError, match=r'pip install "flashwasm\[gpu\]"'):
        GpuBackend()


NO_ADAPTER = """
import sys
from pathlib import Path
import flashwasm as fw
from flashwasm.backends.gpu import adapter
for devices in sys.argv[1:]:
    adapter._DEVICES = Path(devices)
    try:
        adapter.find_adapter()
    except fw.CapabilityError as error:
        print(error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the driver is hidden by a variable of Linux")
@pytest.mark.usefixtures("gpu")
def test_reasons_for_no_adapter_are_told_apart(tmp_path):
    """One process sees no GPU, then the device file of one that Vulkan does not reach."""
    nothing, cuda = tmp_path / "nothing", tmp_path / "cuda"
    nothing.mkdir()
    cuda.mkdir()
    (cuda / "nvidia0").touch()
    arguments = f"import sys; sys.argv[1:] = {[str(nothing), str(cuda)]!r}"
    hidden = dict.fromkeys(("VK_DRIVER_FILES", "VK_ICD_FILENAMES"), str(nothing / "no.json"))
    found = in_child(
        arguments + NO_ADAPTER,
        WGPU_BACKEND_TYPE="Vulkan",
        NVIDIA_DRIVER_CAPABILITIES="compute,utility",
        **hidden,
    ).splitlines()
    assert len(found) == 2
    assert "install the GPU's driver for Vulkan" in found[0]
    assert "not the driver's capability 'graphics'" in found[1]


FORKED = """
import os, warnings
import numpy as np
import flashwasm as fw
from flashwasm.backends.backend import Limits
from flashwasm.backends.gpu.backend import GpuBackend
warnings.simplefilter("ignore")
gpu, limits, x = GpuBackend(), Limits(1, lambda: None), np.ones((1, 1), np.float32)
gpu.softmax(x, limits)
for attempt in (lambda: gpu.softmax(x, limits), GpuBackend):
    if os.fork() == 0:
        try:
            attempt()
        except fw.CapabilityError as error:
            print(error, flush=True)
        os._exit(0)
    os.wait()
assert gpu.softmax(x, limits) == 1
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.usefixtures("gpu")
def test_a_forked_child_is_told_not_to_use_it():
    found = in_child(FORKED).splitlines()
    assert len(found) == 2
    assert all("was used before this process was forked" in line for line in found)


@pytest.mark.usefixtures("gpu")
def test_mixed_calls_leave_the_process_as_it_was():
    """`make soak-gpu` makes 5,000 of these calls."""
    found = measured_in_child("bench.reliability.gpu_calls", "measure_gpu_flatness(40).failures()")
    assert found == "[]"
