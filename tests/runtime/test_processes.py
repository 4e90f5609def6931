"""Runtimes and processes: limits of address space, the interpreter's exit, fork, and leaks."""

import os
import re
import sys

import pytest

from checkout import SOURCE
from every_operation import in_child

on_posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="limits and fork are POSIX's")

LIMITED = """
import resource, threading, time
if {warm}:
    fw.vecadd([1.0], [2.0])
    fw.default_runtime().close()
with open("/proc/self/status") as file:
    used = next(int(line.split()[1]) << 10 for line in file if line.startswith("VmSize"))
limit = used + ({extra} << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
runtimes, refused = [], 0
x = np.ones((300, 300), np.float32)
for _ in range(4):
    try:
        runtimes.append(fw.Runtime(threads=2))
    except fw.CapabilityError as error:
        assert "ulimit -v" in str(error)
        refused += 1
for rt in runtimes:
    assert fw.matmul(x, x, runtime=rt)[7, 7] == 300
print(len(runtimes), refused)
if runtimes:
    runtimes.pop().close()
    del rt
    # The memory goes when the helper thread has ended.
    while threading.active_count() > 1 + len(runtimes):
        time.sleep(0.001)
    runtimes.append(fw.Runtime(threads=2))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the size of a process is read from /proc")
@pytest.mark.parametrize("warm", [False, True], ids=["first", "later"])
@pytest.mark.parametrize(
    ("extra", "fitting"),
    [(40, 0), (90, 0), (1000, 0), (4200, 0), (4400, 1), (8700, 2)],
)
def test_runtimes_under_a_limit_of_addresses(extra, fitting, warm):
    """A runtime takes 4 GiB and 160 MiB of addresses. One that does not fit is refused.

    The engine would end the process if it ran out of memory while it loads a module, so that must
    not begin. When a runtime is gone, another one fits.
    """
    printed = in_child(LIMITED.format(extra=extra, warm=warm))
    assert printed.split() == [str(fitting), str(4 - fitting)]


SHUTDOWN = """
import os, sys, threading, time
large, small = np.ones((4, 30_000, 64), np.float32), np.ones((300, 300), np.float32)
rt = fw.Runtime(threads={threads})

def work():
    begun.set()
    while True:
        try:
            if {call!r} == "one long call":
                fw.attention(large, large, large, runtime=rt)
            else:
                fw.matmul(small, small, runtime=rt)
        except Exception as error:
            os.write(2, repr(error).encode())
            os._exit(9)

begun = threading.Event()
for _ in range(3):
    threading.Thread(target=work, daemon=True).start()
begun.wait()
time.sleep(0.1)
print("ends", flush=True)
if {end!r} == "exception":
    raise SystemExit("an error")
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("call", ["one long call", "many short calls"])
@pytest.mark.parametrize(("end", "status"), [("the last line", 0), ("exception", 1)])
def test_the_interpreter_ends_during_a_call(call, threads, end, status):
    """Daemon threads compute while the main thread ends: no crash, no hang, the right status."""
    code = SHUTDOWN.format(call=call, threads=threads, end=end)
    assert in_child(code, status=status) == "ends\n"


FORK = """
import faulthandler, os, threading, time
x = np.ones((300, 300), np.float32)
rt = fw.Runtime(threads=2)
index = fw.ShardedIndex("flat", 64)
index.add(x[:, :64])
# A child that imports a module which the parent was importing at the fork waits for ever. That is
# Python's own limit.
fw.matmul(x, x), index.search(x[:3, :64], 2)

def work():
    while True:
        {call}

def in_the_child():
    for use in (lambda: fw.matmul(x, x, runtime=rt), lambda: index.search(x[:3, :64], 2),
                lambda: index.add(x[:, :64]), lambda: rt.empty(5), rt.stats):
        try:
            use()
        except fw.ClosedError as error:
            assert "forked" in str(error)
        else:
            return 2
    rt.close()
    repr(rt), repr(index)
    if number % 5 == 0 and fw.matmul(x, x)[3, 3] != 300:
        return 3
    return 0

for _ in range(2):
    threading.Thread(target=work, daemon=True).start()
time.sleep(0.1)
for number in range(20):
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(300, exit=True)
        code = 4
        try:
            code = in_the_child()
        finally:
            os._exit(code)
    time.sleep(0.002)
    assert os.waitpid(child, 0)[1] == 0
assert fw.matmul(x, x, runtime=rt)[3, 3] == 300
print("done")
"""


@on_posix
@pytest.mark.parametrize(
    "call", ["fw.matmul(x, x, runtime=rt)", "index.search(x[:, :64], 3)", "fw.matmul(x, x)"]
)
def test_fork_while_other_threads_compute(call):
    """Locks that the parent's threads hold at the fork are free in the child, runtimes closed."""
    assert in_child(FORK.format(call=call)) == "done\n"


# Files that make locks, and why none of them can be held for ever in a forked child.
LOCKS = {
    "backends/choice.py": "a new one in the child",
    "backends/gpu/adapter.py": "the backend refuses to compute in the child",
    "backends/gpu/backend.py": "as above",
    "backends/hybrid/chooser.py": "a backend's; the child makes backends of its own",
    "backends/native/threads.py": "as above",
    "backends/native/torch_attention.py": "as above",
    "backends/registry.py": "a new one in the child",
    "host/engine.py": "a new one in the child",
    "host/workers.py": "a job's, which no other process sees",
    "runtime/arena.py": "used in open runtimes only, and in the child all are closed",
    "runtime/default_runtime.py": "a new one in the child",
    "runtime/runtime.py": "a new one in the child",
}


def test_every_other_lock_is_renewed_after_a_fork():
    """A lock of an object is made by `renewed_after_fork`; one that is not must have a reason."""
    makes = re.compile(r"\bR?Lock\(\)")
    files = {path: path.read_text("utf-8") for path in SOURCE.rglob("*.py")}
    found = {str(path.relative_to(SOURCE)) for path, text in files.items() if makes.search(text)}
    assert found == LOCKS.keys()


RENEWED = """
import os, threading
from flashwasm.runtime.locks import renewed_after_fork

class Owner:
    def __init__(self, make):
        self._lock = renewed_after_fork(self, make)

owners = [Owner(threading.Lock), Owner(threading.RLock)]
for owner in owners:
    thread = threading.Thread(target=owner._lock.acquire)
    thread.start()
    thread.join()
assert not any(owner._lock.acquire(timeout=0.01) for owner in owners)
child = os.fork()
if child == 0:
    os._exit(0 if all(owner._lock.acquire(timeout=1) for owner in owners) else 1)
print(os.waitpid(child, 0)[1])
"""


@on_posix
def test_a_lock_that_another_thread_holds_at_the_fork_is_free_in_the_child():
    assert in_child(RENEWED) == "0\n"


MANY = """
import gc, os, threading, time

def state():
    gc.collect()
    # A helper thread of a runtime that was dropped needs a moment to end.
    for _ in range(1000):
        if threading.active_count() == 1:
            break
        time.sleep(0.01)
    with open("/proc/self/maps") as file:
        mappings = len(file.readlines())
    return len(os.listdir("/proc/self/fd")), threading.active_count(), mappings

def make(number):
    rt = fw.Runtime(threads=1 + (number % 4 == 0), variant=("relaxed", "scalar")[number % 2])
    x = rt.asarray(np.full((200, 400), number % 7, np.float32))
    assert fw.vecadd(x, x, runtime=rt)[5, 5] == 2 * (number % 7)
    if number % 3:
        rt.close()

for number in range(20):
    make(number)
before = state()
for number in range({count}):
    make(number)
after = state()
assert after[:2] == before[:2], (before, after)
# Threads' stacks are kept for later threads by the C library.
assert after[2] <= before[2] + 20, (before, after)
print("flat")
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="files and mappings are counted in /proc")
def test_a_thousand_runtimes_leave_nothing_behind():
    """File descriptors, threads and mappings are as many after 1,000 runtimes as after 20."""
    assert in_child(MANY.format(count=1000), timeout=900) == "flat\n"
