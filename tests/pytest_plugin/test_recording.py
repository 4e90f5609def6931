"""--fw-record: the lines that each test runs, recorded in real runs of pytest."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

import flashwasm
from flashwasm.qe import CoverageIndex
from flashwasm.qe.coverage.coverage_database import read_coverage
from flashwasm.qe.coverage.source_digests import read_digests
from git_repository import commit_all
from small_project import change_project, record_coverage, run_pytest, write_project

pytest.importorskip("coverage")

# The files of a project with a fixture, and a line that runs when a test file is imported.
FIXTURE = {
    "shop.py": """\
def opened():
    return 1

def closed():
    return 2

def early():
    return 3
""",
    "test_shop.py": """\
import pytest
import shop

EARLY = shop.early()

@pytest.fixture
def one():
    yield shop.opened()
    shop.closed()

@pytest.mark.parametrize("text", ["a|b"])
def test_one(one, text):
    assert one == 1
""",
}
# A plugin with the options that pytest-cov has.
LIKE_PYTEST_COV = """\
def pytest_addoption(parser):
    parser.addoption("--cov", dest="cov_source", action="append", nargs="?", const=True)
    parser.addoption("--no-cov", dest="no_cov", action="store_true")
"""


@pytest.fixture
def project(tmp_path):
    write_project(tmp_path)
    return tmp_path


def write(folder, files):
    """Write files, and settings of pytest, into a folder."""
    for name, content in {"pytest.ini": "[pytest]\n", **files}.items():
        (folder / name).write_text(content, "utf-8")


def lines_by_context(database):
    """Return the lines that ran in each context and file with this name."""
    data = read_coverage(database)
    return {
        (data.contexts[context], Path(data.files[file]).name): lines.tolist()
        for (file, context), lines in data.lines.items()
    }


def assert_nothing_else_was_written(folder):
    assert not [path for path in folder.iterdir() if path.name.startswith(".x.db")]


def test_each_test_and_phase_has_a_context(tmp_path):
    write(tmp_path, FIXTURE)
    done = run_pytest(tmp_path, "--fw-record=x.db")
    assert "\nrecorded the lines that the test runs: x.db\n" in done.stdout
    assert (tmp_path / "x.db").is_file()
    assert_nothing_else_was_written(tmp_path)
    test = "test_shop.py::test_one[a|b]"
    of_shop = {
        context: lines
        for (context, file), lines in lines_by_context(tmp_path / "x.db").items()
        if file == "shop.py"
    }
    # Functions are defined, and `early` is called, when the test file is imported.
    assert of_shop == {"": [1, 4, 7, 8], f"{test}|setup": [2], f"{test}|teardown": [5]}
    index = CoverageIndex.load(tmp_path / "x.db")
    assert index.tests == [test]
    assert index.lines_of(test) == [(str(tmp_path / "test_shop.py"), 13)]


@pytest.mark.slow
def test_the_parts_of_workers_of_xdist_are_joined(project):
    def lines(database):
        # Tests import shop/text.py. Which of them does so first depends on the worker.
        found = lines_by_context(database)
        return {key: lines for key, lines in found.items() if key[1] != "text.py"}

    alone = lines(record_coverage(project))
    options = ["-p", "xdist", "-n", "2"]
    done = run_pytest(project, *options, "--fw-record=x.db", "tests")
    assert done.stdout.count("recorded the lines that each of 11 tests runs: x.db") == 1
    assert_nothing_else_was_written(project)
    assert lines(project / "x.db") == alone


@pytest.mark.slow
def test_a_worker_of_xdist_that_crashes_is_said(project):
    (project / "tests" / "test_exit.py").write_text("import os\ndef test_exit(): os._exit(3)\n")
    options = ["-p", "xdist", "-n", "2"]
    done = run_pytest(project, *options, "--fw-record=x.db", "tests")
    assert done.returncode == 1
    assert "it lacks the tests that ran in the 1 worker that crashed" in done.stdout
    tests = CoverageIndex.load(project / "x.db").tests
    assert tests
    assert not [test for test in tests if "test_exit" in test]


def test_digests_of_the_sources_stand_beside_the_lines(tmp_path):
    made = "from pathlib import Path\ndef test_made(): Path('shop.py').write_text('x = 1')\n"
    write(tmp_path, {**FIXTURE, "test_y.py": made})
    assert run_pytest(tmp_path, "--fw-record=x.db").returncode == 0
    digest = hashlib.sha256(FIXTURE["test_shop.py"].encode()).hexdigest()
    digests = read_digests(tmp_path / "x.db")
    # It is not known which content of a file ran that changed meanwhile.
    assert (digests["test_shop.py"], digests["shop.py"]) == (digest, "")
    # coverage.py reads the database as one of its own.
    command = [sys.executable, "-m", "coverage", "report", "--data-file=x.db"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    assert read_digests(tmp_path / "shop.py") is None
    assert read_digests(tmp_path / "no.db") is None


def test_a_plugin_that_conftest_loads_records_too(tmp_path):
    write(tmp_path, {**FIXTURE, "conftest.py": 'pytest_plugins = ["flashwasm.pytest_plugin"]\n'})
    env = {**os.environ, "PYTHONPATH": str(Path(flashwasm.__file__).parents[1])}
    command = [sys.executable, "-m", "pytest", "--fw-record=x.db"]
    subprocess.run(command, cwd=tmp_path, env=env, check=True, capture_output=True)
    assert CoverageIndex.load(tmp_path / "x.db").tests == ["test_shop.py::test_one[a|b]"]


def test_a_failing_test_is_recorded_and_the_status_stays(tmp_path):
    write(tmp_path, {"test_x.py": "def test_x():\n    x = 1\n    assert x == 2\n"})
    # coverage.py warns that a test switched its trace function off; the warning is an error here.
    (tmp_path / "test_y.py").write_text("import sys\ndef test_y(): sys.settrace(None)\n")
    done = run_pytest(tmp_path, "--fw-record=x.db", "-W", "error")
    assert done.returncode == 1
    assert "1 failed, 1 passed" in done.stdout
    assert "test_x.py::test_x" in CoverageIndex.load(tmp_path / "x.db").tests


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["-k", "interrupted"], "the run was not completed"),
        (["-k", "no_such_test"], "no test ran"),
        (["--collect-only"], "no test ran"),
    ],
    ids=["interrupted", "none selected", "none run"],
)
def test_an_earlier_database_stays_if_the_run_is_not_whole(tmp_path, options, reason):
    write(tmp_path, {"test_x.py": "def test_interrupted():\n    raise KeyboardInterrupt\n"})
    (tmp_path / "x.db").write_text("earlier")
    done = run_pytest(tmp_path, "--fw-record=x.db", *options)
    assert f"x.db was not written, because {reason}" in done.stdout
    assert (tmp_path / "x.db").read_text() == "earlier"
    assert_nothing_else_was_written(tmp_path)


def test_settings_of_coverage_do_not_count(tmp_path):
    settings = "[run]\nomit = shop.py\ncontext = py311\nparallel = true\nbranch = true\n"
    write(tmp_path, {**FIXTURE, ".coveragerc": settings})
    assert run_pytest(tmp_path, "--fw-record=x.db").returncode == 0
    recorded = lines_by_context(tmp_path / "x.db")
    assert recorded["test_shop.py::test_one[a|b]|setup", "shop.py"] == [2]


@pytest.mark.slow
def test_an_installed_copy_of_the_project_is_measured_and_other_packages_are_not(tmp_path):
    folder = tmp_path / "project"
    (folder / "src" / "shop").mkdir(parents=True)
    write(
        folder, {"test_x.py": "import shop, other\ndef test_x(): assert shop.one() == other.one()"}
    )
    (folder / "src" / "shop" / "__init__.py").write_text("def one():\n    return 1\n")
    venv.create(tmp_path / "venv", symlinks=os.name != "nt")
    installed = next((tmp_path / "venv").rglob("site-packages"))
    for name in ("shop", "other"):
        (installed / f"{name}.py").write_text("def one():\n    return 1\n")
    # The packages of this environment, and this package itself, are visible from the new one.
    beside = [pytest.__file__, flashwasm.__file__]
    (installed / "x.pth").write_text("\n".join(str(Path(file).parents[1]) for file in beside))
    python = next((tmp_path / "venv").glob("*/python"))
    command = [python, "-m", "pytest", "-p", "flashwasm.pytest_plugin", "--fw-record=x.db"]
    env = {**os.environ, "PYTHONPATH": ""}
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    files = CoverageIndex.load(folder / "x.db").files
    assert str(installed / "shop.py") in files
    assert not [file for file in files if file.endswith("other.py") or "numpy" in file]


def test_a_folder_of_tests_alone_measures_what_is_installed_as_editable(tmp_path):
    tests, elsewhere, other = (tmp_path / name for name in ("tests", "elsewhere", "other"))
    for folder in (tests, elsewhere, other):
        folder.mkdir()
    (elsewhere / "shop.py").write_text("def one():\n    return 1\n")
    (other / "more.py").write_text("def one():\n    return 1\n")
    paths = f"import sys\nsys.path += [{str(elsewhere)!r}, {str(other)!r}]\n"
    test = "import shop, more\ndef test_x(): assert shop.one() == more.one()\n"
    write(tests, {"conftest.py": paths, "test_x.py": test})
    # What an installer writes about an editable project, and about one that it copied.
    for name, folder, info in (("shop", elsewhere, {"editable": True}), ("more", other, {})):
        written = tests / f"{name}-1.0.dist-info"
        written.mkdir()
        (written / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        origin = json.dumps({"url": folder.as_uri(), "dir_info": info})
        (written / "direct_url.json").write_text(origin)
    done = run_pytest(tests, "--fw-record=x.db")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {name for _, name in lines_by_context(tests / "x.db")} >= {"shop.py", "test_x.py"}
    assert "more.py" not in {name for _, name in lines_by_context(tests / "x.db")}


@pytest.mark.skipif(not shutil.which("git"), reason="git is not installed")
@pytest.mark.parametrize(
    "workers", [[], pytest.param(["-p", "xdist", "-n", "2"], marks=pytest.mark.slow)]
)
def test_files_of_the_recording_are_no_part_of_the_change(project, workers):
    commit_all(project)
    change_project(project, {"shop/orders.py": ("result = 0", "result = 0 + 0")})
    options = ["--fw-record=x.db", "--fw-diff=HEAD", "--fw-select=safe", "tests", *workers]
    for _ in range(2):
        done = run_pytest(project, *options)
        assert "9 of 11 tests are left out, as the change is not known to reach them" in done.stdout
        assert "recorded the lines that each of 2 tests runs: x.db" in done.stdout
        assert_nothing_else_was_written(project)


# Wrong usage.


def test_pytest_cov_beside_it_is_refused(project):
    (project / "like_pytest_cov.py").write_text(LIKE_PYTEST_COV)
    options = ["-p", "like_pytest_cov", "--cov=shop", "--fw-record=x.db", "tests"]
    done = run_pytest(project, *options)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --fw-record measures coverage itself, as --cov of pytest-cov" in done.stderr
    assert run_pytest(project, *options, "--no-cov").returncode == 0


def test_coverage_run_around_it_is_refused(project):
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", "--fw-record=x.db"]
    env = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    env["PYTHONPATH"] = str(Path(flashwasm.__file__).parents[1])
    command += ["-p", "flashwasm.pytest_plugin"]
    done = subprocess.run(
        command, cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "run pytest without `coverage run`" in done.stderr


def test_a_missing_coverage_package_is_named_with_its_extra(project):
    (project / "coverage.py").write_text("raise ImportError('not here')\n")
    done = run_pytest(project, "--fw-record=x.db", "tests")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert (
        "ERROR: --fw-record: coverage.py cannot be imported (not here); install it again "
        "with: pip install --force-reinstall coverage\n" in done.stderr
    )


def test_a_folder_is_no_database(project):
    done = run_pytest(project, "--fw-record=tests", "tests")
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "ERROR: --fw-record tests: it is a folder; expected a file" in done.stderr
