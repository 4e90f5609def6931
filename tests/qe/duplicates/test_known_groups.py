"""Groups that are not reported: known ones, old ones, ignored tests and excluded files."""

import json
import subprocess
from textwrap import dedent

import pytest
from click.testing import CliRunner

from flashwasm.cli import main
from flashwasm.qe import collect, find_duplicates
from flashwasm.qe.duplicates.known_groups import group_fingerprints, wanted_tests

TWICE = "def test_one():\n    assert f(1)\n\n\ndef test_two():\n    assert f(1)\n"
OTHERS = "def test_red():\n    assert g('red')\n\n\ndef test_blue():\n    assert g('blue')\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    monkeypatch.chdir(folder)
    return folder


def invoke(*arguments):
    result = CliRunner().invoke(main, ["duplicates", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def fingerprints(folder):
    return group_fingerprints(find_duplicates(collect(folder, cache=False).tests))


# Fingerprints.


def test_a_fingerprint_survives_moves_comments_and_formatting(folder):
    file = folder / "test_x.py"
    file.write_text(TWICE)
    before = fingerprints(folder)
    changed = TWICE.replace("f(1)\n", "f(\n        1)  # Why.\n", 1)
    changed = changed.replace("():\n", "():\n    '''Documented.'''\n")
    file.write_text(f"import os\n\n\ndef test_zero():\n    os.stat('.')\n\n\n{changed}")
    assert fingerprints(folder) == before
    (folder / "deep").mkdir()
    file.rename(folder / "deep" / "test_y.py")
    assert fingerprints(folder) == before


@pytest.mark.parametrize(
    "changed",
    [
        TWICE.replace("f(1)", "f(2)"),
        TWICE.replace("test_two", "test_three"),
        f"{TWICE}\n\ndef test_three():\n    assert f(1)\n",
        TWICE.replace("def test_two", "@slow\ndef test_two").replace(
            "def test_one", "@slow\ndef test_one"
        ),
    ],
    ids=["code", "name", "one more test", "decorators"],
)
def test_a_fingerprint_changes_with_the_code(folder, changed):
    (folder / "test_x.py").write_text(TWICE)
    before = fingerprints(folder)
    (folder / "test_x.py").write_text(changed)
    assert len(fingerprints(folder)) == 1
    assert fingerprints(folder) != before


def test_equal_findings_have_different_fingerprints(folder):
    for name in "xy":
        (folder / f"test_{name}.py").write_text(f"def f(x): ...\n{TWICE}")
    first, second = fingerprints(folder)
    assert first.removesuffix(":1") == second.removesuffix(":2")


# Baselines.


def test_groups_of_a_baseline_are_not_reported(folder):
    (folder / "test_x.py").write_text(TWICE)
    result = invoke(".", "--write-baseline", "known.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 group is in known.json\n"
    assert json.loads((folder / "known.json").read_text())["groups"][0]["tests"] == [
        "test_x.py::test_one",
        "test_x.py::test_two",
    ]
    result = invoke(".", "--baseline", "known.json")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "1 known or older group is left out\n"
    (folder / "test_x.py").write_text(f"# Moved.\n{TWICE}\n\n{OTHERS}")
    result = invoke(".", "--baseline", "known.json", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["left_out"]) == (1, 1)
    (group,) = document["groups"]
    assert [test["nodeid"] for test in group["tests"]] == [
        "test_x.py::test_red",
        "test_x.py::test_blue",
    ]
    # A second pair of the same tests is not the known one.
    (folder / "test_y.py").write_text(f"def f(x): ...\n{TWICE}")
    (folder / "test_x.py").write_text(f"def f(x): ...\n{TWICE}")
    assert invoke(".", "--baseline", "known.json").exit_code == 1


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "x", "version": 1}', "\udcff"])
def test_another_file_is_no_baseline(folder, text):
    (folder / "test_x.py").write_text(TWICE)
    (folder / "known.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = invoke(".", "--baseline", "known.json")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("Error: known.json is ")
    assert result.stderr.count("\n") == 1
    assert invoke(".", "--baseline", "no.json").exit_code == 2


# Tests and files that are left out.


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("def test_a():  # flashwasm: ignore[duplicate]\n    f()", []),
        ("# flashwasm: ignore[duplicate]\ndef test_a():\n    f()", []),
        ("# flashwasm:ignore[ other, duplicate ] - it is a table.\ndef test_a():\n    f()", []),
        ("# flashwasm: ignore[duplicate]\n@slow(\n    1\n)\ndef test_a():\n    f()", []),
        ("@slow\n# flashwasm: ignore[duplicate]\ndef test_a():\n    f()", []),
        ("@slow\nasync def test_a():  # flashwasm: ignore[duplicate]\n    f()", []),
        ("# flashwasm: ignore[other]\ndef test_a():\n    f()", ["test_a"]),
        ("# flashwasm: ignore[duplicate]\n\ndef test_a():\n    f()", ["test_a"]),
        ("def test_a():\n    f()  # flashwasm: ignore[duplicate]", ["test_a"]),
    ],
)
def test_a_comment_leaves_out_a_test(folder, source, names):
    (folder / "test_x.py").write_text(f"{source}\n\n\ndef test_b():\n    g()\n")
    tests = wanted_tests(collect(folder, cache=False).tests, [])
    assert [test.nodeid.partition("::")[2] for test in tests] == [*names, "test_b"]


@pytest.mark.parametrize(
    ("patterns", "left"),
    [
        ([], ["old/deep/test_b.py", "old/test_a.py", "test_a.py"]),
        (["old"], ["test_a.py"]),
        (["old/"], ["test_a.py"]),
        (["old/*.py", "nothing"], ["test_a.py"]),
        (["old/deep"], ["old/test_a.py", "test_a.py"]),
        (["deep"], ["old/test_a.py", "test_a.py"]),
        (["test_a.py"], ["old/deep/test_b.py"]),
        (["*_[a].py"], ["old/deep/test_b.py"]),
    ],
    ids=str,
)
def test_patterns_leave_out_files(folder, patterns, left):
    (folder / "old" / "deep").mkdir(parents=True)
    for name in ("old/deep/test_b.py", "old/test_a.py", "test_a.py"):
        (folder / name).write_text(TWICE)
    options = [word for pattern in patterns for word in ("--exclude", pattern)]
    groups = json.loads(invoke(".", "--json", *options).stdout)["groups"]
    found = {test["nodeid"].partition("::")[0] for group in groups for test in group["tests"]}
    assert sorted(found) == left


# Tests since a revision, with real git.


@pytest.fixture
def repository(folder):
    """Make a repository whose first commit holds a group of duplicates."""

    def git(*arguments):
        settings = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", *settings, *arguments], cwd=folder, check=True, capture_output=True)  # noqa: S607 - the git of the machine.

    git("init", "-q", "-b", "main")
    (folder / "test_x.py").write_text(TWICE)
    (folder / "test_y.py").write_text(OTHERS)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    return git


def since(revision, *arguments):
    """Return the names of the tests of each group that is new since a revision."""
    result = invoke(".", "--since", revision, "--json", *arguments)
    assert result.exit_code in {0, 1}, result.stderr
    groups = json.loads(result.stdout)["groups"]
    assert result.exit_code == (len(groups) > 0)
    return [[test["nodeid"].split("::")[-1] for test in group["tests"]] for group in groups]


def test_only_groups_with_a_new_test_are_reported(folder, repository):
    assert since("HEAD") == []
    # Moved lines, comments, docstrings and formatting add no duplicate.
    moved = f"import os\n\n\n{TWICE}".replace("f(1)\n", "f( 1 )  # Why.\n")
    (folder / "test_x.py").write_text(moved)
    assert since("HEAD") == []
    (folder / "test_x.py").write_text(f"{moved}\n\ndef test_three():\n    assert f(1)\n")
    assert since("HEAD") == [["test_one", "test_two", "test_three"]]
    repository("commit", "-q", "-a", "-m", "second")
    assert since("HEAD") == []
    assert since("HEAD~1") == [["test_one", "test_two", "test_three"]]
    # An edit that makes two tests the same.
    (folder / "test_y.py").write_text(OTHERS.replace("red')", "blue')"))
    assert since("main") == [["test_red", "test_blue"]]


def test_an_untracked_file_is_new_and_a_renamed_one_is_not(folder, repository):
    (folder / "a b").mkdir()
    repository("mv", "test_x.py", "a b/test_ä.py")
    assert since("HEAD") == []
    (folder / "test_new.py").write_text(TWICE)
    assert since("HEAD") == [["test_one", "test_two"]]


def test_a_removed_line_is_an_edit(folder, repository):
    source = dedent("""
        def test_long():
            x = f(1)
            print(x)
            assert x
        def test_short():
            x = f(1)
            assert x
    """)
    (folder / "test_z.py").write_text(source)
    repository("add", ".")
    repository("commit", "-q", "-m", "second")
    assert since("HEAD") == []
    (folder / "test_z.py").write_text(source.replace("    print(x)\n", ""))
    assert since("HEAD") == [["test_long", "test_short"]]


@pytest.mark.parametrize("revision", ["nothing", "--help", "-x", "HEAD:test_x.py", ""])
@pytest.mark.usefixtures("repository")
def test_what_is_no_revision_is_refused(revision):
    result = invoke(".", f"--since={revision}")
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"Error: --since: {revision!r} is not a revision of the repository" in result.stderr


def test_a_folder_outside_of_repositories_is_refused(folder):
    (folder / "test_x.py").write_text(TWICE)
    result = invoke(".", "--since", "HEAD")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "is not in a git repository; leave --since out" in result.stderr


@pytest.mark.usefixtures("repository")
def test_a_repository_of_another_user_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")  # git reads it for its own tests.
    result = invoke(".", "--since", "HEAD")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "dubious ownership" in result.stderr
    assert "git config --global --add safe.directory PATH" in result.stderr
