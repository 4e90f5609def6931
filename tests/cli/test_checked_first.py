"""Arguments that a command can check quickly are checked before it embeds any test."""

import pytest
from click.testing import CliRunner

import tiny_bert
from flashwasm.cli import main
from flashwasm.qe.adaptation.feedback_log import FeedbackLog, Judgement
from flashwasm.qe.scoring.embedder import Embedder

SUITE = "def test_a(): assert lib.f(1)\nclass TestB:\n    def test_a(self): assert lib.f(2)\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, work):
    """Write a suite, a model and files that are no inputs to a folder, and work there."""
    files = {
        "pytest.ini": "",
        "test_a.py": SUITE,
        "lib.py": "def f(x): return x\n",
        "note.txt": "nothing",
        "empty.xml": "",
        "other.json": "{}",
    }
    for name, text in files.items():
        (work / name).write_text(text)
    tiny_bert.write(tmp_path / "model")
    return work


def run(line):
    return CliRunner().invoke(main, [*line.split(), "--model", "../model", "--no-cache"])


@pytest.fixture
def no_embedding(monkeypatch):
    """Fail if a text is embedded."""

    def embed(*_, **__):
        pytest.fail("a text was embedded before the arguments were checked")

    monkeypatch.setattr(Embedder, "embed", embed)


@pytest.mark.usefixtures("no_embedding")
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("similar . -q no.py::test", "no test has it"),
        ("similar . -q test_a", "the end of 2 node ids"),
        ("similar . -q ?!", "query has no letter and no digit"),
        ("similar . -q empty.xml", "query empty.xml is empty"),
        ("similar . -q x --coverage absent", "absent"),
        ("search . ?!", "words have no letter and no digit"),
        ("report . --coverage absent", "absent"),
        ("report . --failures empty.xml", "empty.xml is empty"),
        ("report . --bench note.txt", "note.txt is not JSON"),
        ("report . --bench other.json", "other.json: expected the JSON of"),
        ("index build suite . -o x --coverage absent", "absent"),
    ],
)
def test_a_wrong_argument_is_refused_first(line, message, folder):
    result = run(line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not (folder / "flashwasm-report.html").exists()


def test_an_index_file_is_not_embedded_again_for_a_wrong_query(folder, request):
    assert run("index build suite . -o suite.fw").exit_code == 0
    tiny_bert.write(folder.parent / "model", seed=7)
    request.getfixturevalue("no_embedding")
    assert "no test has it" in run("similar suite.fw -q no.py::test").stderr
    with pytest.raises(pytest.fail.Exception):
        CliRunner().invoke(
            main,
            ["similar", "suite.fw", "-q", "TestB::test_a", "--model", "../model"],
            catch_exceptions=False,
        )


@pytest.mark.usefixtures("no_embedding")
@pytest.mark.parametrize(
    ("line", "file"),
    [("adapt train .", "adaptations"), ("similar . -q edge --explore 0.5", "feedback.sqlite/x")],
)
def test_a_data_folder_that_cannot_be_written_is_refused_first(line, file, folder, monkeypatch):
    log = FeedbackLog()
    log.add(folder, Judgement("test_a.py::test_a", "test_a.py::TestB::test_a", accepted=True))
    if line.startswith("adapt"):
        (folder.parent / "data" / file).write_text("a file in place of the folder")
    else:
        monkeypatch.setenv("FLASHWASM_DATA", str(log.path))
    result = run(line)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Not a directory: " in result.stderr
    assert file.partition("/")[0] in result.stderr
