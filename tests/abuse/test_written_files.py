"""Every kind of file that the package writes: killed writers, full disks, several processes.

The rows are in the helpers `index_writers` and `cache_writers`. A test fails if a module writes
files and no row names it. `make soak` runs more of the same trials.
"""

import ast

import pytest

from checkout import SOURCE
from crash_trials import WRITERS, run_trials

# Functions and methods that write.
WRITE = {
    "write_atomically",
    "write_container",
    "write_cache",
    "replace_with",
    "write_text",
    "write_bytes",
    "scratch_folder",
    "mkdtemp",
    "mkstemp",
    "TemporaryDirectory",
    "NamedTemporaryFile",
}
# Modules without a row, with the reason.
OTHERS = {
    "benchmarks/cases/lora.py": "its temporary folder is the system's, which cleans it",
    "cli/failure_reports.py": "its temporary folder is the system's, which cleans it",
    "cli/tests_for/pytest_run.py": "its temporary folder is the system's, which cleans it",
    "qe/workloads/benchmark_operations.py": "its temporary folder is the system's, which cleans it",
    "cli/tests_for/github.py": "GitHub makes the file; test_full_devices.py",
    "pytest_plugin/recording.py": "test_killed_recording.py",
    "qe/coverage/source_digests.py": "test_killed_recording.py",
    "qe/coverage/coverage_database.py": "it opens databases to read only",
    "qe/inspection/file_inspection.py": "it opens databases to read only",
    "storage/atomic_files.py": "all rows write through it",
}


def writes(call):
    """Return True if a call may write a file."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    if name == "open":
        arguments = [*call.args, *(keyword.value for keyword in call.keywords)]
        texts = [one.value for one in arguments if isinstance(one, ast.Constant)]
        return any(isinstance(text, str) and set(text) & set("wax+") for text in texts[:1])
    if name == "connect":
        return ast.unparse(function) == "sqlite3.connect"
    return name in WRITE


def modules_that_write():
    return {
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and writes(node)
    }


def test_every_module_that_writes_has_a_row():
    rows = {module for writer in WRITERS for module in writer.modules}
    # The caches write through `write_cache`, or through each other.
    through_others = {"qe/suites/outline_cache.py", "search/sharded/shard_files.py"}
    assert modules_that_write() - through_others == (rows | OTHERS.keys()) - through_others


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Return a folder for the machine code of all trials."""
    return tmp_path_factory.mktemp("machine code")


@pytest.fixture(autouse=True)
def environment(folder, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(folder))


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path):
    counts = run_trials("killed", tmp_path, count=3)
    assert counts["kills"] == 3 * len(WRITERS)
    assert counts["acknowledged"] > counts["kills"]
    assert counts["cut"] > len(WRITERS) // 2, "hardly any process was killed while it wrote"


def test_a_full_disk_leaves_what_was_there_and_an_error_that_names_the_file(tmp_path):
    counts = run_trials("full", tmp_path)
    # Fewer where no disk of its own may be given to a process.
    assert counts["refused"] > 80
    assert counts["passed over"] > 20


def test_processes_that_write_at_once_lose_nothing(tmp_path):
    counts = run_trials("together", tmp_path)
    assert counts["read"] > counts["written"] > 300
