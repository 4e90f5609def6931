"""The option ``--fw-known`` of runs without failures, and with a library that cannot be used."""

import pytest

from flashwasm.qe import FailureLibrary
from nested_pytest import IN_THIS_PROCESS

pytest_plugins = "pytester"

HEAD = "flashwasm: could not match the failures: "


@pytest.fixture
def run(pytester):
    """Return a function that runs one passing test with options, and returns its output."""
    pytester.makepyfile(
        test_x="import os\ndef test_x(tmp_path): os.chdir(tmp_path)\ndef test_y(): pass\n"
    )

    def run(*options):
        plugin = ["-p", "flashwasm.pytest_plugin", *IN_THIS_PROCESS]
        done = pytester.runpytest_inprocess(*plugin, *options)
        assert done.ret == 0
        return done.stdout.str()

    return run


@pytest.mark.parametrize(("name", "reason"), [("no.db", "does not exist"), ("test_x.py", "whole")])
def test_an_unusable_library_is_reported_at_the_start_and_the_end(run, name, reason):
    head, _, rest = run("--fw-known", name).partition("collected 2 items")
    (line,) = [line for line in head.splitlines() if line.startswith(HEAD)]
    assert name in line
    assert reason in line
    assert line.removeprefix("flashwasm: ") in rest
    # Without a head, the summary still says so.
    assert line.removeprefix("flashwasm: ") in run("--fw-known", name, "-q")


def test_a_usable_library_is_not_mentioned_if_no_test_fails(run, pytester):
    FailureLibrary(pytester.path / "empty.db", create=True)
    assert "flashwasm:" not in run("--fw-known", "empty.db")
