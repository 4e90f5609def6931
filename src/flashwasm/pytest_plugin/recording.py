"""A coverage database with a context for each test, recorded while pytest runs."""

from __future__ import annotations

import os
import shutil
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flashwasm.errors import CapabilityError
from flashwasm.optional_packages import optional_module
from flashwasm.pytest_plugin.measured_sources import measured_sources
from flashwasm.qe.coverage.source_digests import write_digests
from flashwasm.qe.suites.file_digests import file_state
from flashwasm.storage.atomic_files import replace_with
from flashwasm.storage.digests import digest_of
from flashwasm.storage.scratch_files import scratch_folder
from flashwasm.summaries import counted

if TYPE_CHECKING:
    from coverage import Coverage, CoverageData

    from flashwasm.pytest_plugin.summary import Summary

__all__ = ["Recording"]

# Environment variable with the folder that the xdist workers write to; the controller sets it.
_PARTS = "FLASHWASM_RECORDED_PARTS"
# Key in a worker's output for the path of its part. The worker sets it when the part is complete.
_PART = "flashwasm-part"
# Exit statuses of a pytest run that was not interrupted.
_WHOLE_RUNS = (
    pytest.ExitCode.OK,
    pytest.ExitCode.TESTS_FAILED,
    pytest.ExitCode.NO_TESTS_COLLECTED,
)
# Settings of coverage.py. Its newest measurement core does not support contexts, so "ctrace" is
# chosen. The disabled warnings are not useful here: a package of the project need not be imported.
_SETTINGS = {
    "run:core": "ctrace",
    "run:disable_warnings": [
        "already-imported",
        "module-not-imported",
        "module-not-measured",
        "no-data-collected",
    ],
}


class Recording:
    """The recording of one session, which begins when the object is created.

    Lines that run outside of tests, such as at collection, get the empty context. Under xdist, each
    worker writes a part, and the controller joins the parts.

    Parameters
    ----------
    config : pytest.Config
        Configuration of the session, which pytest may still be reading.
    database : str
        Path of the database to write.

    Raises
    ------
    pytest.UsageError
        If coverage.py is not installed or already measures this run, or if the database cannot be
        written.
    """

    def __init__(self, config: pytest.Config, database: str) -> None:
        self._config = config
        self._name = database
        self._target = config.invocation_params.dir / database
        self._parts: list[Path] = []
        self._lost = 0
        self._failed = False
        self._warnings: list[str] = []
        self._parts_folder = os.environ.pop(_PARTS, None)
        if self._target.is_dir():
            raise pytest.UsageError(f"--fw-record {database}: it is a folder; expected a file")
        _refuse_second_measurement(config)
        try:
            self._folder = Path(self._parts_folder or _scratch_folder(self._target))
        except OSError as error:
            raise pytest.UsageError(f"--fw-record {database}: {error}") from error
        config.add_cleanup(self._discard)
        self._own = self._folder / f"part-{os.urandom(8).hex()}"
        self._coverage = _new_coverage(self._own, config.rootpath)
        self._began = time.time()
        with self._collected_warnings():
            self._coverage.start()

    def join(self, summary: Summary) -> None:
        """Register the hooks of the recording, now that the configuration is complete."""
        self._summary = summary
        self._config.pluginmanager.register(self, "flashwasm-recording")

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        """Record the lines that run in a test's setup."""
        with self._context(f"{item.nodeid}|setup"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        """Record the lines that a test runs."""
        with self._context(f"{item.nodeid}|run"):
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_teardown(self, item: pytest.Item) -> Iterator[None]:
        """Record the lines that run in a test's teardown."""
        with self._context(f"{item.nodeid}|teardown"):
            return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_setupnodes(self) -> None:
        """Tell the xdist workers, which start next, the folder for their parts."""
        os.environ[_PARTS] = str(self._folder)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Note the part of a worker, or count the worker as lost if it did not finish."""
        part = getattr(node, "workeroutput", {}).get(_PART)
        if part is None:
            self._lost += 1
        else:
            self._parts.append(Path(part))

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, exitstatus: int) -> None:
        """Write the database, or this worker's part of it."""
        os.environ.pop(_PARTS, None)
        self._summary.guarded(
            f"record the coverage in {self._name}", lambda: self._finish(exitstatus)
        )

    def _finish(self, exitstatus: int) -> None:
        """Stop measuring. A worker saves its part; the controller joins the parts."""
        if self._failed:  # A line of the summary already reports the failure.
            return
        with self._collected_warnings():
            self._coverage.stop()
            self._coverage.save()
            _close(self._coverage.get_data())
        lines = self._summary.lines
        lines += [f"coverage.py: {text}" for text in self._warnings]
        output = getattr(self._config, "workeroutput", None)
        if output is not None:
            output[_PART] = str(self._own)
            return
        if exitstatus not in _WHOLE_RUNS:
            lines.append(f"{self._name} was not written, because the run was not completed")
            return
        tests, files = self._join_parts()
        if not tests:
            lines.append(f"{self._name} was not written, because no test ran")
            return
        write_digests(self._own, self._digests(files))
        replace_with(self._own, self._target)
        each = "the test" if tests == 1 else f"each of {tests:,} tests"
        lines.append(f"recorded the lines that {each} runs: {self._name}")
        if self._lost:
            workers = counted(self._lost, "workers")
            lines.append(f"it lacks the tests that ran in the {workers} that crashed")

    def _join_parts(self) -> tuple[int, set[str]]:
        """Add the workers' parts to this process's; return the number of tests and the files."""
        from coverage import CoverageData

        whole = CoverageData(str(self._own))
        whole.read()
        for part in self._parts:
            if part.exists():
                data = CoverageData(str(part))
                data.read()
                whole.update(data)
                _close(data)
        contexts, files = whole.measured_contexts(), whole.measured_files()
        _close(whole)
        return len({context.rpartition("|")[0] for context in contexts if context}), files

    def _digests(self, files: set[str]) -> dict[str, str]:
        """Return the digest of each source, or "" for one that changed while the tests ran."""
        digests = {}
        for name in sorted(files):
            path = Path(name)
            # A test may have removed a file that it made.
            if (digest := digest_of(path)) is not None and (state := file_state(path)) is not None:
                changed = state.changed > self._began * 1e9
                with suppress(ValueError):  # There is no relative path to another drive.
                    path = Path(os.path.relpath(path, self._config.rootpath))
                digests[path.as_posix()] = "" if changed else digest
        return digests

    def _discard(self) -> None:
        """Remove the temporary files. If an error ended the session early, also stop measuring."""
        os.environ.pop(_PARTS, None)
        with suppress(Exception), self._collected_warnings():
            self._coverage.stop()
        if self._parts_folder is None:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _context(self, name: str) -> Iterator[None]:
        """Record the lines that run inside the ``with`` block under a context."""
        self._switch(name)
        try:
            yield
        finally:
            self._switch("")

    def _switch(self, name: str) -> None:
        """Begin a context, which saves the previous one. Stop recording if the disk is full."""
        if not self._failed:
            self._failed = not self._summary.guarded(
                f"record the coverage in {self._name}",
                lambda: self._coverage.switch_context(name),
            )

    @contextmanager
    def _collected_warnings(self) -> Iterator[None]:
        """Collect coverage.py's warnings for the summary, so that none fails the run."""
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        self._warnings += [str(warning.message) for warning in caught]


def _refuse_second_measurement(config: pytest.Config) -> None:
    """Raise a usage error if coverage.py is missing or already measures this run."""
    try:
        coverage = optional_module("coverage", "coverage.py", extra=None)
    except CapabilityError as error:
        raise pytest.UsageError(f"--fw-record: {error}") from error
    given = config.known_args_namespace
    if getattr(given, "cov_source", None) and not getattr(given, "no_cov", False):
        raise pytest.UsageError(
            "--fw-record measures coverage itself, as --cov of pytest-cov does; give one of them "
            "(--no-cov disables pytest-cov)"
        )
    if coverage.Coverage.current() is not None:
        raise pytest.UsageError(
            "--fw-record measures coverage itself; run pytest without `coverage run`"
        )


def _new_coverage(file: Path, rootdir: Path) -> Coverage:
    """Return coverage.py's measurement of a project.

    The project's settings of coverage.py are ignored, because they may leave out files or add other
    contexts. The exception is ``run:concurrency``, the kind of threads.
    """
    from coverage import Coverage
    from coverage.exceptions import ConfigError

    folders, packages = measured_sources(rootdir)
    coverage = Coverage(str(file), config_file=False, source=folders, source_pkgs=packages)
    for name, value in _SETTINGS.items():
        # Earlier releases of coverage.py do not have this option, and do not need it.
        with suppress(ConfigError):
            coverage.set_option(name, value)
    with suppress(ConfigError):
        kinds = Coverage(data_file=None).get_option("run:concurrency")
        # With "multiprocessing", each child process would write another database.
        if isinstance(kinds, list):
            threads = [kind for kind in kinds if kind != "multiprocessing"]
            coverage.set_option("run:concurrency", threads or ["thread"])
    return coverage


def _close(data: CoverageData) -> None:
    """Close a database. Earlier releases of coverage.py have no such method."""
    if hasattr(data, "close"):
        data.close()


def _scratch_folder(target: Path) -> Path:
    """Return a new folder beside the database, so that a rename can replace the database."""
    folder = scratch_folder(target.parent)
    # git must not report the files in it as part of the change that --fw-diff names.
    (folder / ".gitignore").write_text("*\n", "utf-8")
    return folder
