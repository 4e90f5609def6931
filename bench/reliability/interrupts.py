"""Ctrl-C in a long call: the call must end at once, and every thread can use the runtime again.

    python -m bench.reliability.interrupts --times 100

Exit status 1: a call took longer than 50 ms to end or ended in another way, or the next call on
some thread returned a wrong result.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
from time import monotonic, sleep

import click

from bench.reliability.latencies import Latencies

__all__ = ["measured_interrupts"]

LIMIT = 0.05
# The parent sends a line to begin a call, and a signal while the call runs. The child answers with
# the time of the exception, by a clock that both processes share.
_CHILD = """
import sys, threading
from time import monotonic
import numpy as np
import flashwasm as fw

rt = fw.Runtime(threads={threads})
small = np.arange(12, dtype=np.float32).reshape(3, 4)
expected = fw.attention(small, small, small, runtime=rt)
# A call of a minute or more.
long = {operand}
print("ready", flush=True)
for _ in sys.stdin:
    try:
        print("begun", flush=True)
        fw.attention(long, long, long, runtime=rt)
        answer = "returned"
    except KeyboardInterrupt:
        answer = f"{{monotonic()}}"
    wrong = []
    def again():
        for _ in range(20):
            if not np.array_equal(fw.attention(small, small, small, runtime=rt), expected):
                wrong.append(1)
    threads = [threading.Thread(target=again) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    again()
    if wrong or any(thread.is_alive() for thread in threads):
        answer = "the next calls were wrong"
    print(answer, flush=True)
"""
_OPERANDS = {
    "resident": "rt.asarray(np.ones((64, 100_000, 64), np.float32)[:8])",
    "from NumPy": "np.ones((16, 100_000, 64), np.float32)",
}


def measured_interrupts(
    times: int, threads: int, operand: str = "resident", *, seed: int = 0
) -> Latencies:
    """Interrupt attention at random moments in one process, and return the times until it ended.

    Parameters
    ----------
    times : int
        Number of interruptions.
    threads : int
        Threads of the runtime.
    operand : {"resident", "from NumPy"}, default "resident"
        Place of the operands. With "from NumPy", the copying is also interrupted.
    seed : int, default 0
        Seed of the moments.
    """
    code = _CHILD.format(threads=threads, operand=_OPERANDS[operand])
    found = Latencies(f"attention {operand}, {threads} threads", LIMIT)
    moments = random.Random(seed)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        to, answers = child.stdin, child.stdout
        if to is None or answers is None:  # For the type checker: both are pipes.
            return found
        answers.readline()
        for _ in range(times):
            to.write("\n")
            to.flush()
            answers.readline()
            sleep(moments.uniform(0.005, 1.0))
            sent = monotonic()
            child.send_signal(signal.SIGINT)
            answer = answers.readline().strip()
            try:
                found.seconds.append(float(answer) - sent)
            except ValueError:
                found.faults.append(answer or "the process ended")
                if not answer:
                    break
        to.close()
    return found


@click.command()
@click.option("--times", default=100, show_default=True, help="Interruptions of each kind.")
def main(times: int) -> None:
    """Interrupt long calls by SIGINT, and print how long they took to end."""
    found = []
    for operand in _OPERANDS:
        for threads in (1, 2):
            found.append(measured_interrupts(times, threads, operand))
            click.echo(str(found[-1]))
    sys.exit(int(any(kind.failed for kind in found)))


if __name__ == "__main__":
    main()
