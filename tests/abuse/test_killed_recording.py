"""`pytest --fw-record` leaves the old database unchanged if it is killed or the disk is full."""

import os
import random
import signal
import subprocess
import sys
import time

import pytest

from flashwasm.qe.coverage.coverage_database import read_coverage
from flashwasm.qe.coverage.source_digests import read_digests

SCRATCH = ".*.flashwasm-tmp"
SOURCE = "def double(x):\n    return 2 * x\n"
TESTS = "import time, lib\n" + "".join(
    f"def test_{i}(): assert lib.double({i}) == {2 * i}; time.sleep(.02)\n" for i in range(9)
)


@pytest.fixture
def project(tmp_path):
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "lib.py").write_text(SOURCE)
    (tmp_path / "test_lib.py").write_text(TESTS)
    return tmp_path


def command(project, before=""):
    """Return the arguments of a process that records, after it has run some code."""
    options = ["-p", "flashwasm.pytest_plugin", "--fw-record", "x.db", "-q"]
    code = f"{before}\nimport pytest, sys; sys.exit(pytest.main({options}))"
    return {
        "args": [sys.executable, "-c", code],
        "cwd": project,
        "stdout": subprocess.PIPE,
        "stderr": subprocess.STDOUT,
        "text": True,
    }


def record(project, before=""):
    return subprocess.run(**command(project, before), check=False)


def content(database):
    """Return what a database holds, checked: its contexts, and the digests of its sources."""
    return sorted(read_coverage(database).contexts), read_digests(database)


def test_a_run_that_is_killed_leaves_the_last_database_and_no_scratch_for_ever(project):
    assert record(project).returncode == 0
    whole = content(project / "x.db")
    assert len(whole[0]) > 9
    chance = random.Random(3)  # noqa: S311 - it draws moments, not keys.
    for _ in range(4):
        with subprocess.Popen(**command(project)) as run:
            # On a loaded machine, the run may be over before this process sees its scratch folder.
            while not list(project.glob(SCRATCH)) and run.poll() is None:
                time.sleep(0.01)
            time.sleep(chance.uniform(0, 0.5))
            run.send_signal(signal.SIGKILL)
        assert content(project / "x.db") == whole
        for path in project.glob(SCRATCH):
            os.utime(path, (1, 1))
    assert record(project).returncode == 0
    assert content(project / "x.db") == whole
    assert not list(project.glob(SCRATCH))


@pytest.mark.parametrize("share", [0.5, 0.99])
def test_a_full_disk_is_a_line_of_the_summary_and_leaves_the_last_database(project, share):
    """The disk is full while the tests run, or at the end of the run."""
    assert record(project).returncode == 0
    whole = (project / "x.db").read_bytes()
    room = int(share * len(whole))
    limit = (
        "import resource, signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))"
    )
    done = record(project, limit)
    assert "9 passed" in done.stdout
    assert done.stdout.count("could not record the coverage in x.db: ") == 1
    assert "Traceback" not in done.stdout
    assert (project / "x.db").read_bytes() == whole
    assert not list(project.glob(SCRATCH))
