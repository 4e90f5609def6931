"""Every command prints one clear line, not a traceback, for empty, damaged or huge input."""

import shutil
import sqlite3
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import flashwasm.cli
from flashwasm.cli import COMMANDS, main
from flashwasm.storage.file_format import MAGIC

TESTS = "def test_one():\n    assert add(1, 2) == 3\n\ndef test_two():\n    assert add(1, 3) == 4\n"
HUGE = 1 << 30
GOOD_DIFF = "--- a/lib.py\n+++ b/lib.py\n@@ -1 +1,2 @@\n def add(a, b):\n+    return a + b\n"

# Command lines in which {} stands for the bad file. A command that reads no file has no line.
LINES = {
    "bench": [
        "bench adaptation --suite {}",
        "bench all --embeddings {}",
        "bench quality suite {}",
        "bench quality suite --coverage {}",
        "bench quality --failures {}",
        "bench quality --releases suite {}",
        "bench search --embeddings {}",
    ],
    "coverage": [
        "coverage who lib.py:1 --coverage {}",
        "coverage nearest test_one --coverage {}",
        "coverage redundant --coverage {}",
        "coverage gap --coverage {}",
    ],
    "defects": [
        "defects match {} --library good.db",
        "defects match good.txt --library {}",
        "defects cluster {}",
        "defects learn {} --library new.db --name x",
        "defects learn good.txt --library {} --name x",
    ],
    "duplicates": ["duplicates {}", "duplicates --index {}", "duplicates suite --coverage {}"],
    "embed": ["embed {}", "embed {} -o out.npy"],
    "index": [
        "index merge merged.fw {}",
        "index merge merged.fw good.fw {}",
        "index info {}",
        "index verify {}",
        "index build suite {} -o out.fw",
        "index build functions {} -o out.fw",
        "index build coverage {} -o out.fw",
        "index build failures {} -o out.db",
        "index build vectors {} -o out.fw",
    ],
    "models": ["models path {}", "models remove {}"],
    "probe": [],
    "search": ["search {} words", "search --index {} words"],
    "similar": [
        "similar {} -q words",
        "similar --index {} -q words",
        "similar suite -q words --coverage {}",
        "similar suite -q words --model {}",
    ],
    "report": [
        "report {} -o report.html",
        "report suite -o report.html --coverage {}",
        "report suite -o report.html --failures {}",
        "report suite -o report.html --bench {}",
    ],
    "tests-for": [
        "tests-for {} --diff good.diff --dry-run",
        "tests-for suite --diff {} --dry-run",
        "tests-for suite --diff good.diff --dry-run --coverage {}",
        "tests-for suite --diff good.diff --dry-run --budget 5s --times {}",
    ],
}
# Commands that only other test files test, because they read no file that the user names.
NOT_HERE = {"adapt", "feedback", "mcp"}
CASES = [line for lines in LINES.values() for line in lines]


def test_the_table_has_every_command_that_reads_files():
    assert LINES.keys() >= COMMANDS.keys() - NOT_HERE

    def leaves(command, name):
        if isinstance(command, click.Group):
            context = click.Context(command)
            for inner in command.list_commands(context):
                yield from leaves(command.get_command(context, inner), f"{name} {inner}".strip())
        else:
            yield name

    named = {leaf for leaf in leaves(main, "") if leaf.split()[0] not in NOT_HERE}
    without_files = {"probe", "models install", "models list"}
    without_files |= {f"bench {suite}" for suite in ("attention", "ops", "peers", "workloads")}
    assert {n for n in named - without_files if not any(c.startswith(n) for c in CASES)} == set()


def truncated_container(path):
    path.write_bytes(Path("good.fw").read_bytes()[:-64])


def damaged_container(path):
    content = bytearray(Path("good.fw").read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def later_container(path):
    content = bytearray(Path("good.fw").read_bytes())
    content[len(MAGIC)] = 9
    path.write_bytes(content)


def foreign_database(path):
    database = sqlite3.connect(path)
    with database:
        database.execute("create table bookmark (id integer, url text)")
    database.close()


def truncated_database(path):
    path.write_bytes(Path("good.db").read_bytes()[:5000])


def later_database(path):
    shutil.copy("good.db", path)
    database = sqlite3.connect(path)
    with database:
        database.execute("pragma user_version = 99")
    database.close()


def huge(path):
    with path.open("wb") as file:
        file.truncate(HUGE)


def broken_suite(path):
    path.mkdir()
    (path / "test_syntax.py").write_text("def test_(:")
    (path / "test_binary.py").write_bytes(bytes(range(256)))
    (path / "test_encoding.py").write_bytes(b"# coding: no-such\ndef test(): assert 1\n")
    (path / "test_loop.py").symlink_to("test_loop.py")
    (path / "folder").symlink_to(".", target_is_directory=True)
    huge(path / "test_huge.py")


INPUTS = {
    "an empty file": lambda path: path.write_bytes(b""),
    "an empty folder": lambda path: path.mkdir(),
    "a suite of broken files": broken_suite,
    "nothing": lambda _: None,
    "random bytes": lambda path: path.write_bytes(bytes(range(255, -1, -1)) * 50),
    "the beginning of an index": lambda path: path.write_bytes(MAGIC),
    "a truncated index": truncated_container,
    "a damaged index": damaged_container,
    "an index of a later version": later_container,
    "a foreign database": foreign_database,
    "a truncated database": truncated_database,
    "a library of a later version": later_database,
    "broken XML": lambda path: path.write_text("<testsuites><testsuite><testcase"),
    "a broken report log": lambda path: path.write_text('{"$report_type": "TestReport", "no'),
    "a gigabyte": huge,
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Write good files (a suite, an index, a library, a traceback, a diff) and the bad ones."""
    folder = tmp_path_factory.mktemp("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FLASHWASM_DATA", str(folder / "data"))
        patch.setenv("FLASHWASM_CACHE", str(folder / "cache"))
        Path("suite").mkdir()
        Path("suite", "test_add.py").write_text(TESTS)
        Path("good.txt").write_text("lib.py:7: in add\n    x.y\nE   AttributeError: no y")
        Path("good.diff").write_text(GOOD_DIFF)
        for line in (
            "index build suite suite -o good.fw",
            "defects learn good.txt --library good.db --name known",
        ):
            assert CliRunner().invoke(main, line.split()).exit_code == 0
        for name, make in INPUTS.items():
            make(folder / name)
        yield folder


@pytest.mark.parametrize("name", INPUTS)
def test_every_command_ends_with_one_clear_line(folder, name, monkeypatch, tmp_path):
    monkeypatch.setattr(flashwasm.cli.warnings, "showwarning", None, raising=False)
    # The folder that commands write to is new for each bad file.
    for good in ("suite", "good.fw", "good.db", "good.txt", "good.diff"):
        Path(tmp_path, good).symlink_to(folder / good)
    monkeypatch.chdir(tmp_path)
    for line in CASES:
        kept = folder / name
        if "learn good.txt --library" in line and not kept.is_dir():
            # Only this command would write to the bad file, so it gets a copy.
            kept = tmp_path / "copy"
            if name != "nothing":
                INPUTS[name](kept)
        words = [word.replace("{}", str(kept)) for word in line.split()]
        result = CliRunner().invoke(main, words)
        about = f"{line} on {name}: {result.exit_code}\n{result.output}"
        assert result.exception is None or isinstance(result.exception, SystemExit), about
        assert "Traceback (most recent call last)" not in result.output, about
        if "learn good.txt" in line and name in {"nothing", "an empty file"}:
            continue  # If there is no library, the command makes one.
        assert result.exit_code in ({0, 1, 2} if "suite" in line else {1, 2}), about
        assert result.stderr.strip() or result.exit_code == 0, about
        errors = [one for one in result.stderr.splitlines() if one.startswith("Error: ")]
        assert len(errors) == (result.exit_code == 2), about
