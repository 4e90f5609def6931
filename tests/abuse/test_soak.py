"""A soak of a few seconds, its counts, and the return of memory to the system."""

import json
import sys

import pytest
from click.testing import CliRunner

from bench.commands import main
from bench.reliability.flatness import Flatness, Holdings
from bench.reliability.report import ReliabilityFindings
from bench.reliability.soak import FAILURES, run_shift, soak
from bench.reliability.tally import Tally
from every_operation import in_child, measured_in_child


def test_a_short_soak_finds_nothing():
    """Threads call, and are disturbed, in a process of its own."""
    tally, kinds = Tally(), ("processes", "calls", "bad inputs", "failed allocations")
    # On a loaded machine, three seconds may be too short for one of the kinds.
    for seed in range(7, 100, 10):
        soak(3.0, seed, tally)
        if all(tally.counts[done] for done in kinds):
            break
    assert not tally.failures
    assert not any(tally.counts[name] for name in FAILURES)
    assert [done for done in kinds if not tally.counts[done]] == []


@pytest.mark.parametrize(
    ("code", "patience", "counted"),
    [
        ("import os, sys; print(LINE); sys.stdout.flush(); os.abort()", 60, "crashes"),
        ("print(LINE.replace('false', 'true')); raise SystemExit(1)", 60, "crashes"),
        ("raise ImportError('no module')", 60, "crashes"),
        ("import time, sys; print(LINE); sys.stdout.flush(); time.sleep(600)", 2, "hangs"),
    ],
)
def test_a_process_that_ends_or_hangs_is_counted(code, patience, counted):
    line = json.dumps({"done": False, "counts": {"calls": 3}, "failures": []})
    found = run_shift(["-c", f"LINE = {line!r}\n{code}"], patience)
    assert found["counts"][counted] == 1
    assert found["failures"][0].startswith(counted)
    if "LINE" in code:
        assert found["counts"]["calls"] == 3
    findings = ReliabilityFindings(1, 0, 100)
    findings.tally.take(found)
    assert findings.failed
    assert f"| {counted} | 1 |" in findings.markdown()


KEEPS_A_BLOCK = """
from flashwasm.runtime.arena import Arena
release = Arena.release
def keep(self, owner):
    del owner[:1]
    release(self, owner)
Arena.release = keep
"""
CHANGES_BITS = """
from flashwasm.runtime.launch import Launch
finish = Launch.finish
def changed(self):
    result = finish(self)
    result.ravel()[:1] += 1
    return result
Launch.finish = changed
"""


def test_the_command_writes_a_report_and_a_log(tmp_path):
    """The figures of docs/reliability.md come from this command."""
    log, report = tmp_path / "log", tmp_path / "report.json"
    arguments = ["reliability", "--minutes", "0.01", "--calls", "100", "--log", str(log)]
    done = CliRunner().invoke(main, [*arguments, "--json", str(report)])
    assert done.exit_code == 0, done.output
    assert "failures" in done.stderr
    assert "bytes leaked" in done.stdout
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= 2
    found = json.loads(report.read_text())
    assert found["counts"] == lines[-1]["counts"]
    assert found["grown"]["in_use"] == 0
    assert not found["failures"]


@pytest.mark.parametrize(
    ("fault", "counted"), [(KEEPS_A_BLOCK, "bytes leaked"), (CHANGES_BITS, "wrong results")]
)
def test_a_fault_of_the_package_is_found(fault, counted):
    """A shift counts the bytes that a runtime loses, and results whose bits differ."""
    begin = "from bench.reliability.shift import Shift\nshift = Shift(3, 6)\n"
    found = run_shift(["-c", f"{begin}{fault}\nshift.run(0.5)\nshift.tally.report(done=True)"], 60)
    assert found["counts"][counted]


def test_mixed_calls_leave_a_process_as_it_was():
    """`make soak` makes 20,000 of these calls."""
    found = measured_in_child("bench.reliability.flatness", "measure_flatness(300).failures()")
    assert found == "[]"


def test_growth_is_found():
    before = Holdings(0, 1 << 20, 1000, 0, 5, 1 << 26)
    after = before._replace(in_use=64, descriptors=6)
    failures = Flatness(300, 1, before, after).failures()
    assert [line.split()[0] for line in failures] == ["in_use", "descriptors", "1"]


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc")
def test_the_memory_of_a_large_call_goes_back():
    """A call on 300 MB leaves the process about as small as it was."""
    code = """
import os, re
from pathlib import Path

def megabytes(name):
    return int(re.search(name + r":\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]) >> 10

x = np.ones(25_000_000, np.float32)
fw.vecadd(x[:10], x[:10])
before = megabytes("VmRSS")
assert fw.vecadd(x, x + 1)[-1] == 3
print(before, megabytes("VmHWM"), megabytes("VmRSS"))
"""
    before, most, after = map(int, in_child(code).split())
    assert most > before + 300
    assert after < before + 50
