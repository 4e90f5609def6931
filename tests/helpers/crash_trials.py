"""Trials of every kind of file: its writer is killed, its disk is full, several processes write.

Run as a program, it tries all kinds in processes that it forks after all imports:

    python crash_trials.py killed|full|together FOLDER SEED COUNT [NAME ...]

It prints the counts as a line of JSON, and the traceback of each row that failed.
"""

import json
import os
import pickle
import random
import resource
import select
import signal
import subprocess
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

from cache_writers import CACHE_WRITERS
from file_writer import MOST
from index_writers import INDEX_WRITERS
from small_disk import fill, mount

WRITERS = (*INDEX_WRITERS, *CACHE_WRITERS)
# Maximum seconds between a write and the kill of its process.
LONGEST = 0.1
DISK = 8 << 20


def run_trials(kind, folder, *, seed=0, count=1, names=()):
    """Run trials in a separate process, and return the counts; fail if a row failed.

    Parameters
    ----------
    kind : {"killed", "full", "together"}
        Kind of trials.
    folder : pathlib.Path
        Folder to work in.
    seed : int, default 0
        Seed of the moments at which processes are killed.
    count : int, default 1
        Number of kills for each kind of file, or of rounds.
    names : sequence of str, optional
        Names of the kinds of files; if there are none, all kinds are tried.
    """
    command = [sys.executable, __file__, kind, str(folder), str(seed), str(count), *names]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return Counter(json.loads(done.stdout.splitlines()[-1]))


def forked(act):
    """Start a process that calls a function with a pipe to write to; return its id and the pipe."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.close(reading)
            warnings.simplefilter("error")
            act(writing)
            status = 0
        except BaseException:  # noqa: BLE001 - the parent prints any error.
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    os.close(writing)
    return child, reading


def ended(child):
    """Wait for a process, and return its exit status, or minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def content(pipe):
    """Read a pipe until its other end is closed."""
    with os.fdopen(pipe, "rb") as file:
        return file.read()


def in_child(act, *arguments):
    """Return the result of a function in a forked process, which has no threads yet."""
    child, pipe = forked(lambda out: os.write(out, pickle.dumps(act(*arguments))))
    result = content(pipe)
    assert ended(child) == 0, f"{act} failed in a child"
    return pickle.loads(result)  # noqa: S301 - our own child's.


def write_on(writer, folder, numbers):
    """Return the function of a process that writes numbers and reports each written one."""

    def act(out):
        for number in numbers:
            writer.write(folder, number)
            os.write(out, number.to_bytes(4, "big"))

    return act


def acknowledged(sent):
    """Return the numbers that a process of `write_on` has reported."""
    return [int.from_bytes(sent[at : at + 4], "big") for at in range(0, len(sent), 4)]


def scratch(folder):
    """Return the files that are needed only during a write."""
    return [p for p in folder.rglob("*") if p.name.endswith((".flashwasm-tmp", "-journal"))]


def killed(writer, folder, chance, count):
    """Kill a process while it writes: acknowledged numbers are there, and no others."""
    (folder / "fresh").mkdir()
    in_child(writer.write, folder / "fresh", 0)
    usual, counts = len(files(folder / "fresh")), Counter()
    for trial in range(count):
        place = folder / str(trial)
        place.mkdir()
        numbers = range(min(writer.most, MOST) - 1)
        child, pipe = forked(write_on(writer, place, [*numbers, *[numbers[-1]] * 10**6]))
        # Each report has four bytes, and a pipe returns nothing once the writer has failed.
        first = b"".join(os.read(pipe, 4) for _ in range(chance.randrange(5)))
        time.sleep(chance.uniform(0, LONGEST))
        os.kill(child, signal.SIGKILL)
        assert ended(child) == -signal.SIGKILL, "the writer failed"
        done = acknowledged(first + content(pipe))
        counts += Counter(kills=1, acknowledged=len(done), cut=bool(scratch(place)))
        following = numbers[min(len(set(done)), len(numbers) - 1)]
        check(writer, in_child(writer.read, place), done, following)
        # The next process writes a day later.
        for path in place.rglob("*"):
            os.utime(path, (1, 1))
        in_child(writer.write, place, numbers[-1] + 1)
        check(writer, in_child(writer.read, place), [*done, numbers[-1] + 1], following)
        assert scratch(place) == []
        assert writer.grows or len(files(place)) == usual
    return counts


def check(writer, found, done, following):
    """Compare the found numbers with the acknowledged ones; one more may have been in progress."""
    if writer.grows:
        assert set(done) <= found <= {*done, following}, (sorted(found), sorted(set(done)))
    else:
        assert found in ([set(done[-1:]), {following}]), (found, done[-1:], following)


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


def full(writer, folder, chance, count):
    """Write to disks with less and less room: the file is whole, or as before with an error."""
    del chance
    counts = Counter()
    for kind in (limited, on_a_full_disk):
        place = folder / kind.__name__
        place.mkdir()
        counts += in_child(kind, writer, place, count)
    assert counts["refused"] or counts["passed over"], "there was always room"
    return counts


def on_a_full_disk(writer, folder, count):
    """Fill a disk except for some bytes, and write."""
    if not mount(folder, DISK):
        return Counter(unmounted=1)

    def shorten(room):
        filler = fill(folder, room)
        return filler.unlink

    return shortages(writer, folder, shorten, [0, *(4096 << i for i in range(2 + count))])


def limited(writer, folder, count):
    """Limit the length of files to some bytes, and write."""
    most = resource.getrlimit(resource.RLIMIT_FSIZE)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def shorten(room):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, most[1]))
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, most)

    return shortages(writer, folder, shorten, [0, *(100 << i for i in range(5 + count))])


def shortages(writer, folder, shorten, rooms):
    """Write one number with each room; ``shorten`` returns the function that ends the shortage."""
    writer.write(folder, 0)
    done, counts = [0], Counter()
    for number, room in enumerate(rooms[: writer.most - 2], 1):
        lengthen, error = shorten(room), None
        with warnings.catch_warnings(record=True):
            warnings.simplefilter("always")
            try:
                writer.write(folder, number)
            except OSError as caught:
                error = caught
        lengthen()
        found = writer.read(folder)
        if error is None and number in found:
            done.append(number)
            counts["had room"] += 1
        else:
            assert writer.cache == (error is None), error
            assert writer.cache or (str(folder) in str(error) and "\n" not in str(error)), error
            counts["passed over" if writer.cache else "refused"] += 1
        check(writer, found, done, done[-1])
        assert scratch(folder) == []
    last = min(len(rooms), writer.most - 2) + 1
    writer.write(folder, last)
    check(writer, writer.read(folder), [*done, last], last)
    return counts


def together(writer, folder, chance, count):
    """Run three writers and one reader: no number is lost, and the file is whole at any moment."""
    del chance
    counts = Counter()
    for trial in range(count):
        place = folder / str(trial)
        place.mkdir()
        each = max(min(writer.most // 3, 8), 2)
        numbers = [[(p * each + n) % writer.most for n in range(each)] for p in range(3)]
        stop, stopping = os.pipe()
        reader, reads = forked(keep_reading(writer, place, (stop, stopping)))
        writers = [forked(write_on(writer, place, one)) for one in numbers]
        done = [acknowledged(content(pipe)) for _, pipe in writers]
        assert [ended(child) for child, _ in writers] == [0, 0, 0], "a writer failed"
        os.close(stopping)
        os.close(stop)
        counts += Counter(written=sum(map(len, done)), read=int(content(reads) or 0))
        assert ended(reader) == 0, "the reader failed"
        found = in_child(writer.read, place)
        lost = {n for one in done for n in one} - found if writer.grows else set()
        assert not lost, f"lost {lost}"
        assert writer.grows or found <= {one[-1] for one in done}, found
    return counts


def keep_reading(writer, folder, stop):
    """Return the function of a process that reads until a pipe is closed, and reports the count."""

    def act(out):
        os.close(stop[1])
        reads = 0
        while not select.select([stop[0]], [], [], 0)[0]:
            writer.read(folder)
            reads += 1
        os.write(out, str(reads).encode())

    return act


def main(kind, folder, seed, count, *names):
    """Try every row; print the counts, and return 1 if a row failed."""
    counts, failed = Counter(), 0
    for number, writer in enumerate(WRITERS):
        if names and writer.name not in names:
            continue
        chance = random.Random(f"{seed} {writer.name}")  # noqa: S311 - it draws moments, not keys.
        place = Path(folder, str(number))
        place.mkdir()
        begun = time.monotonic()
        try:
            found = {"killed": killed, "full": full, "together": together}[kind](
                writer, place, chance, int(count)
            )
            counts += found
            sys.stderr.write(f"{writer.name}: {time.monotonic() - begun:.2f} s, {dict(found)}\n")
        except BaseException:  # noqa: BLE001 - the other rows must still be tried.
            failed = 1
            sys.stdout.write(f"{writer.name} failed when {kind}:\n{traceback.format_exc()}\n")
    sys.stdout.write(json.dumps(counts))
    return failed


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
