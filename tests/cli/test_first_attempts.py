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
        (["nowhere", "parse a date"], "PATH 'nowhere' does not exist; expected a folder or a file"),
        (["scr", "parse a date"], "PATH 'scr' does not exist; the nearest is src"),
        (
            ["src", "src/lib.py", "parse a date"],
            "got 2 paths; search takes one PATH: give a folder ",
        ),
        (["src", "-"], "words have no letter and no digit"),
        (["src", "?!"], "words have no letter and no digit"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_search_says_which_argument_is_wrong(arguments, message):
    result = invoke("search", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.parametrize(
    ("arguments", "near"),
    [
        ("duplicates scr", "src"),
        ("report src/lbi.py", "src/lib.py"),
        ("index info src/lib", "src/lib.py"),
        ("index merge -o all.fw scr/lib.py", "src"),
        ("duplicates --index src/lib.pyy", "src/lib.py"),
        ("defects cluster src/lob.py", "src/lib.py"),
        ("coverage gap --root scr", "src"),
        ("--config src/lib.p probe", "src/lib.py"),
    ],
)
def test_a_mistyped_path_gets_the_nearest_name(arguments, near):
    result = invoke(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert f"does not exist; the nearest is {near}.\n" in result.stderr


def test_a_path_like_no_other_gets_no_name():
    result = invoke("duplicates", "nowhere/at/all")
    assert "Path 'nowhere/at/all' does not exist.\n" in result.stderr


@pytest.mark.filterwarnings("default")
def test_of_the_cache_files_that_cannot_be_written_one_is_named(folder, monkeypatch):
    (folder / "occupied").write_text("")
    monkeypatch.setenv("FLASHWASM_CACHE", str(folder / "occupied" / "cache"))
    (folder / "test_a.py").write_text("def test_a(): assert lib.f(1)\ndef test_b(): assert 1\n")
    tiny_bert.write(folder.parent / "model")
    for command in (["similar", "test_a.py", "-q", "lib"], ["search", "src", "parse a date"]):
        result = invoke(*command, "--model", str(folder.parent / "model"))
        (line,) = result.stderr.splitlines()
        assert result.exit_code == 0
        assert line.startswith("warning: cannot write ")
        assert line.endswith(": Not a directory; later runs will compute its content again")


ONE_PATH = "takes one PATH: give a folder that contains all of them"
EXTRA_ARGUMENTS = {
    "adapt status src src": f"Got unexpected extra argument (src); status {ONE_PATH}",
    "adapt train src src": ONE_PATH,
    "duplicates src src src": f"Got unexpected extra arguments (src src); duplicates {ONE_PATH}",
    "index build functions src src -o x": ONE_PATH,
    "index build suite src src -o x": ONE_PATH,
    "report src src -o x": ONE_PATH,
    "similar src src -q x": ONE_PATH,
    "tests-for src src": ONE_PATH,
    "coverage who lib.py:1 lib.py:3": "who takes one FILE:LINES",
    "coverage gap src": "gap takes no argument, only options",
    "feedback accept a b c": "feedback takes {accept|reject}, A, B",
}


@pytest.mark.parametrize(("arguments", "message"), EXTRA_ARGUMENTS.items())
def test_an_argument_too_many_is_refused_with_what_the_command_takes(arguments, message):
    result = invoke(*arguments.split())
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.endswith(f"{message}\n")


def test_similar_refuses_a_query_without_words(folder):
    (folder / "test_a.py").write_text("def test_a(): assert lib.f(1)\n")
    result = invoke("similar", ".", "-q", "-")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "query has no letter and no digit" in result.stderr


# Queries that name nothing, in a folder with draft.py and tests/test_cart.py: what stderr says.
REFUSED = {
    "drafft.py": "looks like a file, but there is none; the nearest is draft.py; ",
    "tests/test_crt.py": "the nearest is tests/test_cart.py; ",
    "test_cart.py": "the nearest is tests/test_cart.py; ",
    "tests/drft.txt": "looks like a file, but there is none; expected a node id",
    "tests/": "is a folder; expected a node id, a file or a text",
    "nowhere/x.PY": "looks like a file, but there is none; expected",
    "two words/tets_cart.py": "looks like a file",
    "test_cart.py::test_ad": "the nearest is tests/test_cart.py::test_add; ",
}
NOTED = {
    "test_ad": "no test and no file is named test_ad, so it is compared as text; the nearest is "
    "tests/test_cart.py::test_add\n",
    "/checkout": "no file is named /checkout",
    "and/or": "no file is named and/or",
    "daft.rst": "no file is named daft.rst, so it is compared as text; the nearest is draft.py\n",
    "tests": "tests is a folder, so",
    "add": None,
    "the tests of drafft.py": None,
    "tests/test_cart.py tests a cart": None,
    "test_add": None,
    "draft.py": None,
}


@pytest.fixture
def cart(folder):
    for name in ("tests", "two words"):
        (folder / name).mkdir()
    (folder / "draft.py").write_text("def test_x(): assert cart.add(2)\n")
    (folder / "tests" / "test_cart.py").write_text(
        "def test_add(): assert cart.add(1)\ndef test_remove(): assert cart.remove(1)\n"
    )


@pytest.mark.usefixtures("cart")
@pytest.mark.parametrize(("query", "message"), REFUSED.items())
def test_similar_refuses_a_mistyped_file_or_node_id(query, message):
    result = invoke("similar", "tests", "-q", query)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr


@pytest.mark.usefixtures("cart")
@pytest.mark.parametrize(("query", "message"), NOTED.items())
def test_similar_says_that_a_name_of_nothing_is_compared_as_text(query, message):
    result = invoke("similar", "tests", "-q", query)
    assert result.exit_code == 0, result.stderr
    assert "tests/test_cart.py::test_remove" in result.stdout
    assert (message or "") in result.stderr
    assert ("as text" in result.stderr) == (message is not None)


@pytest.mark.usefixtures("cart")
@pytest.mark.parametrize(("words", "noted"), [("draft.py", True), ("parse a date", False)])
def test_search_says_that_it_reads_no_file_for_its_words(words, noted):
    result = invoke("search", "src", words)
    assert result.exit_code == 0, result.stderr
    assert (f"{words} is compared as text" in result.stderr) == noted


@pytest.mark.usefixtures("cart")
def test_feedback_suggests_the_nearest_test():
    result = invoke("feedback", "accept", "test_ad", "test_remove", "--suite", "tests")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "the nearest is tests/test_cart.py::test_add; expected a node id" in result.stderr


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
