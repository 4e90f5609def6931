"""Errors of the commands: each line names the next step for the user."""

import re

import pytest
from click.testing import CliRunner

from flashwasm.cli import main

FILES = {
    "test_a.py": "def test_a(): assert lib.f(1)\n",
    "empty/note.txt": "nothing",
    "note.txt": "nothing",
    "list.json": "[]",
    "bad.toml": "[",
    "other.toml": "",
    "twice.toml": "[tool.flashwasm.similar]\nno-cache = true\nno_cache = true\n",
    "report.xml": "<html/>",
    "cut.xml": "<testsuite>",
    "bad.npy": "no array",
}
RECORD = "pytest --fw-record DB"
ONE = "give one of them"
# A command line, what is wrong, and what its line says to do.
CASES = [
    ("duplicates empty", "no tests in", "pytest --collect-only PATH"),
    ("index build suite empty -o x", "no tests in", "pytest --collect-only PATH"),
    ("report empty", "no tests in", "pytest --collect-only PATH"),
    ("index build functions empty -o x", "no functions in", "expected a folder or a file"),
    ("similar . -q test_a.py::test_b", "no test has it", "pytest --collect-only -q"),
    ("similar", "Missing option", "--query"),
    ("duplicates", "give PATH", "--index"),
    ("duplicates . --baseline note.txt", "is not a baseline", "--write-baseline"),
    ("duplicates . --since no-such", "--since", "expected a branch|leave --since out"),
    ("duplicates . --coverage no.db", "does not exist", RECORD),
    ("duplicates . --coverage note.txt", "not a whole coverage database", RECORD),
    ("duplicates . --json --format sarif", "exclude each other", ONE),
    ("coverage gap", "does not exist", RECORD),
    ("coverage who lib.py", "is not FILE:LINES", "for example"),
    ("tests-for . --diff note.txt", "not a unified diff", "git diff"),
    ("tests-for . --diff - --since HEAD", "exclude each other", ONE),
    ("tests-for . --diff - --likely --conservative", "exclude each other", ONE),
    ("tests-for . --diff - --format junit --dry-run", "leaves out", ONE),
    ("tests-for . --diff - --python no-such", "no such program", "expected a path such as"),
    ("tests-for . --diff - --budget much", "budget 'much'", "expected seconds as 60s"),
    ("defects match note.txt --library no.db", "does not exist", "flashwasm defects learn"),
    ("defects match note.txt --library note.txt", "not a whole library", "restore a copy"),
    ("defects cluster note.txt", "not a traceback", "pytest --junitxml FILE"),
    ("defects cluster report.xml", "not a JUnit report", "pytest --junitxml FILE"),
    ("defects cluster cut.xml", "not a whole JUnit report", "run the tests again"),
    ("feedback accept test_a no_test", "is not a test in", "pytest --collect-only -q"),
    ("adapt .", "is not installed", "flashwasm models install"),
    ("adapt rollback .", "no adaptation is active", "flashwasm adapt PATH"),
    ("search . some words", "got 3 arguments", "between quotes"),
    ("models path", "is not installed", "flashwasm models install"),
    ("embed text", "is not installed", "flashwasm models install"),
    ("embed text -o vectors.txt", "does not end in .npy", ".npy"),
    ("index info note.txt", "neither a file of flashwasm", "flashwasm index build"),
    ("index build vectors bad.npy -o x", "not a complete .npy file", ".npy"),
    ("report . --bench note.txt", "is not JSON", "flashwasm bench --json F"),
    ("report . --bench list.json", "expected an object of JSON", "flashwasm bench --json F"),
    ("duplicates . --write-baseline note.txt/x", "note.txt", "correct the path|give a file"),
    ("--config bad.toml probe", "is not TOML", "--no-config"),
    ("--config other.toml probe", "has no table", "add it"),
    ("--config twice.toml similar . -q x", "a second time", "delete one"),
    ("--config other.toml --no-config probe", "exclude each other", ONE),
    ("bench peers", "not part of the package", "python -m bench peers"),
    ("bench --resume", "needs the log", "--log FILE"),
    ("bench --op no-such", "is not one of", "matmul"),
]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / "work" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "work" / name).write_text(text)
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path / "work")


@pytest.mark.parametrize(("line", "wrong", "remedy"), CASES, ids=[case[0] for case in CASES])
def test_an_error_says_what_to_do(line, wrong, remedy):
    result = CliRunner().invoke(main, line.split(), input="")
    last = result.stderr.splitlines()[-1]
    assert result.exit_code in {1, 2}, result.output
    assert wrong in last
    assert re.search(remedy, last), last
