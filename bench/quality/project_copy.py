"""A copy of a project in a separate folder, in which its suite runs."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from bench.quality import run_recorder
from flashwasm.errors import ShapeError

__all__ = ["ProjectCopy", "SuiteRun"]

# Folders and files that tools create. A copy of a project does not need them.
_LEFT_OUT = (
    *(".git", ".hg", ".tox", ".nox", ".venv", "venv", "node_modules", "__pycache__", ".*_cache"),
    *(".coverage*", ".testmondata*", "*.pyc", "build", "dist"),
)
_PLUGIN = "faults_run_recorder"
# pytest's exit statuses: passed, failed, interrupted by errors of collection, no tests.
_ENDED = {0, 1, 2, 5}
# Limits of a run, as multiples of the run before any mutation, and their minimum in seconds. A
# mutation may make tests slower, and so may other programs.
_RUN_LIMIT, _LEAST_RUN_LIMIT = 5, 60
_TEST_LIMIT, _LEAST_TEST_LIMIT = 20, 5


@dataclass
class SuiteRun:
    """The cases that ran in a run of a suite, and those that failed.

    Attributes
    ----------
    ran : dict of str to float
        Node ids of the cases that ran, in their order, with the seconds that each took.
    failed : set of str
        Node ids of the cases that failed.
    uncollected : set of str
        Paths of the files and folders that could not be collected.
    broken : bool
        True if pytest itself ended with an error, such as that of a conftest.py.
    stopped : bool
        True if the run took too long and was stopped. The case that was running counts as failed.
    seconds : float
        Duration of the whole run.
    """

    ran: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    uncollected: set[str] = field(default_factory=set)
    broken: bool = False
    stopped: bool = False
    seconds: float = 0.0

    @property
    def failures(self) -> bool:
        """True if anything failed."""
        return bool(self.failed or self.uncollected or self.broken)


class ProjectCopy:
    """A copy of a project, to which mutations are applied.

    Parameters
    ----------
    project : pathlib.Path
        Root of the project, which is only read.
    folder : pathlib.Path
        Empty folder for the copy and for the files that its runs write.

    Attributes
    ----------
    root : pathlib.Path
        Root of the copy.
    database : pathlib.Path
        Coverage of the suite, after `record_coverage`.
    limits : (float, float)
        Maximum seconds of a run, and of a test. 0 means no limit. `clean_run` sets both.
    """

    def __init__(self, project: Path, folder: Path) -> None:
        self._folder = folder
        self.root = folder / project.resolve().name
        self.database = folder / "coverage.db"
        self._testmon, self._kept = folder / "testmon.db", folder / "testmon.kept"
        self.limits: tuple[float, float] = (0.0, 0.0)
        shutil.copytree(
            project, self.root, ignore=shutil.ignore_patterns(*_LEFT_OUT), symlinks=True
        )
        for name in ("plugin", "home"):
            (folder / name).mkdir()
        shutil.copy(run_recorder.__file__, folder / "plugin" / f"{_PLUGIN}.py")

    def clean_run(self) -> SuiteRun:
        """Run the suite without a mutation, and compute the limits of later runs from its time.

        Raises
        ------
        ShapeError
            If no test passes.
        """
        done = self._run([])
        if not done.ran.keys() - done.failed:
            raise ShapeError(
                f"faults: no test of {self.root.name} passes: {self._output()[-300:].strip()!r}"
            )
        test = max(_TEST_LIMIT * max(done.ran.values()), _LEAST_TEST_LIMIT)
        self.limits = (max(_RUN_LIMIT * done.seconds, _LEAST_RUN_LIMIT), test)
        return done

    def run(self, *nodeids: str) -> SuiteRun:
        """Run the suite, or only some cases of it."""
        return self._run([*nodeids])

    def record_coverage(self) -> SuiteRun:
        """Run the suite under coverage.py, with a context for each test."""
        under = ["coverage", "run", f"--data-file={self.database}", f"--source={self.root}", "-m"]
        return self._run([], under, FAULTS_CONTEXTS="1")

    def record_testmon(self) -> SuiteRun:
        """Run the suite under pytest-testmon, and store its record."""
        done = self._run(["--testmon"], TESTMON_DATAFILE=str(self._testmon))
        shutil.copy(self._testmon, self._kept)
        return done

    def run_testmon(self) -> SuiteRun:
        """Run the tests that pytest-testmon selects for the changes since its recorded run."""
        for old in self._folder.glob(f"{self._testmon.name}*"):
            old.unlink()
        shutil.copy(self._kept, self._testmon)
        return self._run(["--testmon"], TESTMON_DATAFILE=str(self._testmon))

    @contextmanager
    def changed(self, path: str, text: str) -> Iterator[None]:
        """Replace the text of a file of the copy while the block runs."""
        file = self.root / path
        before = file.read_bytes()
        file.write_bytes(text.encode())
        try:
            yield
        finally:
            file.write_bytes(before)

    def _output(self) -> str:
        """Return the output of the last run."""
        return (self._folder / "output.txt").read_text("utf-8", "replace")

    def _run(self, options: list[str], under: list[str] | None = None, **more: str) -> SuiteRun:
        """Run pytest in the copy, and return the results that the plugin logged."""
        whole, each = self.limits
        log = self._folder / "log.jsonl"
        log.write_text("")
        paths = [self._folder / "plugin", *filter(Path.is_dir, [self.root / "src"]), self.root]
        # If this process runs under pytest, its PYTEST_ variables would affect the new run. A
        # separate home folder protects the user's files from mutated programs. Without compiled
        # files, Python cannot import an old one for a mutated file of the same size and time.
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST_", "COV_"))}
        env = {
            **kept,
            "PYTHONPATH": os.pathsep.join(map(str, paths)),
            "PYTHONDONTWRITEBYTECODE": "1",
            "HOME": str(self._folder / "home"),
            "FAULTS_LOG": str(log),
            "FAULTS_SECONDS": str(each),
            **more,
        }
        # pytest-testmon needs the plugin of pytest's cache.
        words = ["-q", "--tb=no", "-p", _PLUGIN, "-o", f"cache_dir={self._folder / 'cache'}"]
        words += [f"--basetemp={self._folder / 'temporary'}", f"--rootdir={self.root}"]
        words += ["--continue-on-collection-errors"]
        command = [sys.executable, "-m", *(under or []), "pytest", *words, *options]
        started = time.monotonic()
        with (self._folder / "output.txt").open("wb") as output:
            process = subprocess.Popen(  # noqa: S603 - fixed words.
                command,
                cwd=self.root,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = process.wait(whole or None)
            except subprocess.TimeoutExpired:
                code = None
            finally:
                # This also ends all programs that the suite started in its session.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        seconds = time.monotonic() - started
        return _read(log, code, seconds)


def _read(log: Path, code: int | None, seconds: float) -> SuiteRun:
    """Return the run in a log of the plugin. The exit status is None if pytest was stopped."""
    run = SuiteRun(broken=code not in {*_ENDED, None}, stopped=code is None, seconds=seconds)
    under_way: set[str] = set()
    for line in log.read_text("utf-8").splitlines():
        what, nodeid, *rest = json.loads(line)
        if what == "not collected":
            run.uncollected.add(nodeid)
        elif what == "start":
            under_way = {nodeid}
            run.ran.setdefault(nodeid, 0.0)
        elif what == "end":
            under_way = set()
        else:
            run.ran[nodeid] = run.ran.get(nodeid, 0.0) + rest[0]
            if what == "failed":
                run.failed.add(nodeid)
    if code is None:
        run.failed |= under_way
    return run
