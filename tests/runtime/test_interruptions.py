"""Exceptions of signal handlers, such as KeyboardInterrupt, at any moment of any call.

The signals of a timer arrive at random moments. After each, the lock must be free and linear memory
must be as before.
"""

import signal
import sys

import pytest

from every_operation import in_child

SOAK = """
import gc, random, signal, threading, time

x = np.ones((64, 64), np.float32)
rt = fw.Runtime(threads={threads}, timeout={timeout})
resident, out = rt.asarray(x), rt.empty(x.shape)
large = np.ones((300, 300), np.float32)
index = fw.FlatIndex(64, runtime=rt)
index.add(x)
CALLS = {{
    "copied": lambda: fw.softmax(x, runtime=rt),
    "resident": lambda: fw.softmax(resident, out=out, runtime=rt),
    "new": lambda: fw.softmax(resident, runtime=rt),
    "tasks": lambda: fw.matmul(large, large, runtime=rt),
    "search": lambda: index.search(x[:2], 3),
    "array": lambda: rt.asarray(x),
}}
call = CALLS[{call!r}]
call()
gc.collect()
before = rt.stats().bytes_in_use

def blocked():
    done = threading.Event()
    threading.Thread(target=lambda: (fw.softmax(x, runtime=rt), done.set()), daemon=True).start()
    return not done.wait(300)

def seconds():
    start = time.perf_counter()
    for _ in range(50):
        call()
    return time.perf_counter() - start

# On a fast machine, the calls of a round take less time than elsewhere.
longest = min(3e-4, *(seconds() for _ in range(5)))
hits = 0
random.seed(1)
signal.signal(signal.SIGALRM, signal.default_int_handler)

for n in range({rounds}):
    # The timer fires once a round: in the calls, or while it is being switched off.
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(1e-6, longest))
        for _ in range(50):
            call()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        hits += 1
    if n % 100 == 0:
        assert not blocked(), f"the lock is held after {{hits}} interruptions"
assert hits > {rounds} // 4, hits
call()
gc.collect()
assert not blocked()
assert rt.stats().bytes_in_use == before, (rt.stats().bytes_in_use, before)
assert not rt.temporary
arena = rt.arena
held = [(b.offset, -(-b.size // 64) * 64 or 64) for b in arena.blocks.values()]
free = arena._free + [(at, size) for size, all_ in arena._kept.items() for at in all_]
pieces = sorted(held + free)
assert all(a + n <= b for (a, n), (b, _) in zip(pieces, pieces[1:])), "two blocks overlap"
lost = arena._end - (2 << 16) - sum(size for _, size in pieces) - rt._workspace_bytes
assert lost == 0, f"{{lost}} bytes are nowhere"
print("held", hits > 0)
"""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="the system has no such timer")
@pytest.mark.parametrize("timeout", [None, 60.0])
@pytest.mark.parametrize("call", ["copied", "resident", "new", "tasks", "search", "array"])
def test_interruptions_leave_nothing_behind(call, timeout):
    if sys.implementation.name != "cpython":
        pytest.skip("where signals arrive is CPython's affair")
    code = SOAK.format(call=call, timeout=timeout, threads=2, rounds=1500)
    assert in_child(code).strip() == "held True"
