"""First attempts of a new user: arguments in another order, a mistyped name, a missing part."""

import json

import numpy as np
import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "work" / "src").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work")
    (tmp_path / "work" / "src" / "lib.py").write_text("def parse_date(text): return text\n")
    return tmp_path / "work"


def invoke(*arguments):
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["src"], "WORDS is missing"),
        (["parse a date"], "PATH is missing"),
        (["parse a date", "src"], "PATH 'parse a date' does not exist; expected WORDS after PATH"),
        (["src", "parse", "a", "date"], "put WORDS between quotes"),
        (["nowhere", "parse a date"], "path 'nowhere' does not exist"),
        (["src", "-"], "words have no letter and no digit"),
        (["src", "?!"], "words have no letter and no digit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_search_says_which_argument_is_wrong(arguments, message):
    result = invoke("search", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


def test_similar_refuses_a_query_without_words(folder):
    (folder / "test_a.py").write_text("def test_a(): assert lib.f(1)\n")
    result = invoke("similar", ".", "-q", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "query has no letter and no digit" in result.stderr


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("index build tests -o x", "Expected suite, functions, coverage, failures, vectors."),
        ("index add x", "Expected build, info, verify, merge."),
        ("bench vecadd", "Expected ops, attention, workloads, all."),
        ("models isntall", "install"),
    ],
)
def test_a_group_names_its_commands(line, expected):
    result = invoke(*line.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr.splitlines()[-1]


def test_an_unknown_command_ends_with_the_hint_to_the_help():
    result = invoke("capabilities")
    assert result.exit_code == 2
    assert "Try 'main --help'" in result.stderr
    assert "Expected" not in result.stderr


@pytest.mark.parametrize(
    ("text", "noted"),
    [
        ("READNE.md", True),
        ("docs/indes.rst", True),
        ("Setup.CFG", True),
        ("see README.md", False),
        ("add an item", False),
        ("cart.add", False),
        ("src/lib.py", False),
    ],
)
def test_embed_says_that_a_mistyped_file_is_a_text(folder, text, noted):
    tiny_bert.write(folder / "model")
    result = invoke("embed", text, "--model", "model", "--json")
    assert [entry["text"] for entry in json.loads(result.stdout)["embeddings"]] == [text]
    assert (f"note: there is no file {text}, so" in result.stderr) == noted


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (np.ones((3, 4), int), "got int64 of shape (3, 4)"),
        (np.ones(4), "got float64 of shape (4,)"),
        (np.ones((3, 0)), "expected at least 1"),
        (np.full((3, 4), 1e300), "expected finite numbers"),
        (np.full((3, 4), np.nan, np.float32), "expected finite numbers"),
    ],
    ids=["integers", "one axis", "no columns", "too large", "nan"],
)
def test_vectors_that_cannot_be_indexed_are_refused_with_the_name_of_their_file(rows, message):
    np.save("rows.npy", rows)
    result = invoke("index", "build", "vectors", "rows.npy", "-o", "x.fw")
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: rows.npy: ")
    assert message in line
