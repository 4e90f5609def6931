"""`flashwasm adapt` on a suite of files, and the searches that use its adaptation."""

import json
import sqlite3
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import main
from flashwasm.qe import AdaptationStore, FeedbackLog, Judgement, SuiteIndex, adapt_suite
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation, prior


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Twelve files with two classes of tests each, a tiny model, and feedback by class."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    quick = SimpleNamespace(**vars(sqlite3) | {"connect": connect_quickly})
    monkeypatch.setattr("flashwasm.qe.adaptation.feedback_file.sqlite3", quick)
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    rng = np.random.default_rng(0)
    for file in range(12):
        text = ""
        for one in "AB":
            topic = "".join(rng.choice(list("abcdefgh"), 6))
            text += f"class Test{one}:\n"
            for test in range(4):
                noise = " ".join(rng.choice(list("pqrstuvwxyz"), 8))
                text += f"    def test_{topic}_{test}(self): assert {topic} == '{noise}'\n"
        (folder / f"test_{file}.py").write_text(text)
    tiny_bert.write(tmp_path / "data" / "models" / "all-MiniLM-L6-v2")
    monkeypatch.chdir(folder)
    return folder


def connect_quickly(*arguments, **options):
    """Open a database that does not wait for the disk: no test has to survive a power cut."""
    connection = sqlite3.connect(*arguments, **options)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


def give_feedback(folder, *, opposite=False):
    log = FeedbackLog()
    tests = SuiteIndex.build(folder, scorers=("meaning",)).tests
    for i, a in enumerate(tests):
        for j in (i - i % 4 + (i + 1) % 4, (i + 4) % len(tests)):
            same = i // 4 == j // 4
            log.add(folder, Judgement(a.nodeid, tests[j].nodeid, accepted=same != opposite))


def invoke(*arguments):
    result = CliRunner().invoke(main, [str(a) for a in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def activate(folder, model=None):
    """Activate an adaptation that changes the order of the results."""
    index = SuiteIndex.build(folder, scorers=("meaning",))
    embedder = sys.modules["flashwasm.qe.scoring.embedder"].Embedder()
    vectors = embedder.embed([test.source for test in index.tests])
    whitening, prepared = prior(vectors)
    dim = prepared.shape[1]
    adapter = fw.LoRAAdapter(dim, dim, learning_rate=0.1, rank=dim)
    for x, target in zip(prepared[:50], prepared[::-1][:50], strict=True):
        adapter.update(x, target)
    store = AdaptationStore(folder)
    version = store.add(Adaptation(whitening, adapter), model or embedder.identity, {})
    store.activate(version)
    return version


def test_similar_uses_the_active_version(project):
    plain = SuiteIndex.build(project, scorers=("meaning",))
    assert plain.adaptation is None
    activate(project)
    adapted = SuiteIndex.build(project, scorers=("meaning",))
    assert (adapted.adaptation, adapted.missing) == (1, [])
    without = SuiteIndex.build(project, scorers=("meaning",), adapted=False)
    assert without.adaptation is None
    query = plain.tests[0].nodeid
    orders = [[m.nodeid for m in index.similar(query, 20)] for index in (plain, adapted, without)]
    assert orders[0] == orders[2] != orders[1]
    # The adaptation changes the scores of free texts, too.
    scores = [index.search("abc", 1)[0].components for index in (plain, adapted)]
    assert scores[0] != scores[1]
    document = json.loads(invoke("similar", ".", "-q", query, "--json").stdout)
    assert document["adaptation"] == 1
    done = invoke("similar", ".", "-q", query, "--json", "--no-adaptation")
    assert json.loads(done.stdout)["adaptation"] is None


def test_an_adaptation_for_another_model_is_not_used(project):
    activate(project, model="another")
    index = SuiteIndex.build(project, scorers=("meaning",))
    assert index.adaptation is None
    message = "the active adaptation, version 1, was trained for another model, so it is not used"
    assert index.missing == [message]
    assert message in invoke("similar", ".", "-q", index.tests[0].nodeid).stderr


def test_a_damaged_adaptation_is_not_used(project):
    version = activate(project)
    path = AdaptationStore(project).folder / f"{version.number:04}" / "adapter"
    path.write_bytes(path.read_bytes()[:-1])
    index = SuiteIndex.build(project, scorers=("meaning",))
    assert index.adaptation is None
    assert index.missing[0].startswith("the active adaptation cannot be read, so it is not used")


def test_history_status_and_rollback_show_the_versions(project):
    assert invoke("adapt", "status").exit_code == 1
    assert invoke("adapt", "history").exit_code == 1
    refused = invoke("adapt", "rollback")
    assert (refused.exit_code, refused.stdout) == (2, "")
    refused = invoke("adapt", ".")
    assert refused.exit_code == 2
    assert "there is no feedback on the suite" in refused.stderr
    versions = [activate(project).number for _ in "ab"]
    found = json.loads(invoke("adapt", "history", ".", "--json").stdout)
    assert [(v["number"], v["active"]) for v in found] == [(1, False), (2, True)]
    assert json.loads(invoke("adapt", "status", "--json").stdout)["active"]["number"] == versions[1]
    assert invoke("adapt", "rollback").stdout.startswith("version 1 is active")
    assert invoke("adapt", "rollback", ".").stdout == "no adaptation is active\n"
    assert invoke("adapt", "nowhere").exit_code == 2


def test_without_feedback_or_tests_nothing_is_embedded(project, monkeypatch):
    monkeypatch.setattr(fw.SentenceEncoder, "encode", None)
    assert "there is no feedback on the suite" in invoke("adapt", ".").stderr
    FeedbackLog().add(project, Judgement("test_a.py::test_a", "test_a.py::test_b", accepted=True))
    (project / "empty").mkdir()
    for line in (["adapt", "empty"], ["feedback", "accept", "a", "b", "--suite", "empty"]):
        result = invoke(*line)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "no tests in empty" in result.stderr


def test_feedback_that_cannot_be_written_says_why(project, monkeypatch):
    (project / "file").write_text("")
    monkeypatch.setenv("FLASHWASM_DATA", str(project / "file"))
    tests = [test.nodeid for test in SuiteIndex.build(project, scorers=("characters",)).tests]
    result = invoke("feedback", "accept", *tests[:2])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Not a directory" in result.stderr
    assert result.stderr.endswith("file/feedback.sqlite'; correct the path\n")


def test_feedback_outside_the_path_is_counted(project):
    log = FeedbackLog()
    log.add(project, Judgement("test_no.py::test_a", "test_no.py::test_b", accepted=True))
    result = invoke("adapt", "test_1.py")
    assert result.exit_code == 0
    assert "1 of 1 judged pair named a test that is not in test_1.py" in result.stderr


def test_adapt_reports_its_verdict(project, monkeypatch):
    """Train a few steps only: the command must report its verdict, whatever that is."""
    monkeypatch.setattr("flashwasm.qe.adaptation.adapter_training._STEPS", 100)
    give_feedback(project)
    done = invoke("adapt", ".", "--report")
    assert done.exit_code == 0, done.stderr
    activated = AdaptationStore(project).active()
    assert ("is active" in done.stdout) == (activated is not None)
    assert "accepted pairs: 96, rejected: 96" in done.stdout
    document = json.loads(invoke("adapt", "train", ".", "--json").stdout)
    assert document["judged"] == 192
    assert document["unknown"] == 0
    assert (document["activated"] is not None) == document["passed"]


def test_feedback_that_does_not_help_changes_nothing(project):
    give_feedback(project, opposite=True)
    done = invoke("adapt", ".", "--json", "--fail-on-miss")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["activated"] is None
    assert AdaptationStore(project).history() == []
    assert invoke("adapt", ".").stdout.startswith("nothing changes: ")


def test_feedback_on_deleted_tests_is_counted_but_not_used(project):
    log = FeedbackLog()
    log.add(project, Judgement("test_old.py::test_a", "test_old.py::test_b", accepted=True))
    found = adapt_suite(project)
    assert (found.version, found.judged, found.unknown) == (None, 1, 1)
    assert found.verdict.reason == "no test of the feedback is in the suite"
