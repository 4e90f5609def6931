"""Adapting a suite to feedback: training, the gate, versions, and who uses them."""

import json
import sqlite3
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from bench.adaptation import feedback as bench
from flashwasm.cli import main
from flashwasm.qe import AdaptationStore, FeedbackLog, Judgement, SuiteIndex, adapt_suite
from flashwasm.qe.adaptation.adapter_training import train
from flashwasm.qe.adaptation.cross_validation import EmbeddedSuite, judge
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation, prior
from flashwasm.qe.adaptation.judged_pairs import Pairs
from flashwasm.qe.scoring.embedding_whitening import unit_rows, whiten_collection
from labelled_suite import classes
from samples import assert_same_bits, normal


@pytest.fixture(scope="module")
def suite():
    return classes()


def verdict(suite, kind, runtime, count=200, seed=0):
    pool, rng = np.arange(len(suite.files)), np.random.default_rng(seed)
    pairs = bench.KINDS[kind](suite, pool, count, rng)
    return judge(EmbeddedSuite(suite.prepared, suite.files), pairs, runtime=runtime)


# Training.


def test_the_prior_is_the_whitening_that_similar_uses():
    vectors = normal(90, 24)
    ours, theirs = prior(vectors)[1], whiten_collection(vectors)[1]
    assert np.abs(ours @ ours.T - theirs @ theirs.T).max() < 1e-5
    with pytest.raises(fw.ShapeError, match="at least two tests"):
        prior(vectors[:1])


def test_training_is_deterministic_and_draws_pairs_together(suite, one_thread):
    pairs = bench.KINDS["random pairs of a class"](
        suite, np.arange(240), 100, np.random.default_rng(0)
    )
    adapters = [train(suite.prepared, pairs, seed=3, runtime=one_thread) for _ in "ab"]
    assert_same_bits(adapters[0].b, adapters[1].b)
    adapted = unit_rows(adapters[0].apply(suite.prepared))
    near = pairs[pairs.accepted]
    before, after = (
        (v[near.query] * v[near.test]).sum(1).mean() for v in (suite.prepared, adapted)
    )
    assert after > before + 0.1
    # Tests of which nothing was said stay apart.
    cosines = adapted[240:] @ adapted[:240].T
    assert abs(cosines.mean()) < 0.1


def test_judgements_become_weighted_pairs():
    judged = [
        Judgement("a", "b", accepted=True),
        Judgement("a", "c", accepted=False, propensity=0.25),
        Judgement("b", "c", accepted=True, propensity=1e-3),
        Judgement("a", "gone", accepted=True),
    ]
    pairs = Pairs.of(judged, {"a": 0, "b": 1, "c": 2}.get)
    assert pairs.query.tolist() == [0, 0, 1]
    assert pairs.test.tolist() == [1, 2, 2]
    assert pairs.accepted.tolist() == [True, False, True]
    assert pairs.weight.tolist() == [1, 4, 10]  # Clipped.
    assert len(Pairs.of([], {}.get)) == 0


def test_weights_act_as_repetitions_would(suite, one_thread):
    """What was shown with a quarter of the probability counts four times as much."""
    rng = np.random.default_rng(1)
    pairs = bench.KINDS["random pairs of a class"](suite, np.arange(480), 60, rng)
    pairs = pairs[pairs.accepted]
    light = np.arange(len(pairs)) % 2 == 0
    weighted = replace(pairs, weight=np.where(light, 4.0, 1.0))
    repeated = pairs[np.repeat(np.arange(len(pairs)), np.where(light, 4, 1))]

    def change(p):
        adapter = train(suite.prepared, p, runtime=one_thread)
        return (adapter.b @ adapter.a).ravel()

    plain, one, other = change(pairs), change(weighted), change(repeated)
    assert np.linalg.norm(one - other) < np.linalg.norm(plain - other)


# The gate.


def test_feedback_that_helps_passes(suite, one_thread):
    found = verdict(suite, "random pairs of a class", one_thread)
    assert found.passed
    assert found.reason == "held-out files gain"
    assert found.gain.low > 0
    assert found.gain.mean == pytest.approx(found.after - found.before)
    assert found.agreement.low > 0.5
    json.dumps(found.as_dict())


@pytest.mark.parametrize("kind", [kind for kind in bench.KINDS if "judged" in kind or "fl" in kind])
def test_noise_and_the_opposite_do_not(suite, one_thread, kind):
    for seed in range(3):
        found = verdict(suite, kind, one_thread, seed=seed)
        assert not found.passed
        if "flipped" in kind:
            assert found.reason.startswith("the feedback contradicts what is known")


def test_few_files_are_not_enough(suite, one_thread):
    pairs = Pairs(np.arange(0, 20, 8), np.arange(1, 21, 8), np.ones(3, np.bool_), np.ones(3))
    found = judge(EmbeddedSuite(suite.prepared, suite.files), pairs, runtime=one_thread)
    assert (found.passed, found.accepted, found.gain) == (False, 3, None)
    assert found.reason == "accepted pairs of at least 5 files are needed; there are 3"


def test_a_gain_that_other_scorers_have_anyway_does_not_count(suite, one_thread):
    """What is judged is the order that is shown: here one scorer knows everything already."""
    query, test = np.nonzero(suite.classes[:200, None] == suite.classes[:200])
    pairs = Pairs(query, test, np.ones(len(query), np.bool_), np.ones(len(query)))
    pairs = pairs[query != test]

    def others(query):
        return {"known": 1.0 * (suite.classes == suite.classes[query])}

    found = judge(EmbeddedSuite(suite.prepared, suite.files, others), pairs, runtime=one_thread)
    assert (found.before, found.passed) == (1, False)


@pytest.mark.parametrize("kind", ["random pairs of a class", "any two tests, judged by a coin"])
def test_the_benchmark_measures_files_without_feedback(suite, one_thread, kind):
    found = bench.run_quality(suite, kind, 150, 3, runtime=one_thread)
    change = np.subtract(found.after, found.before)
    assert (change >= 0).all()
    if "coin" in kind:
        assert not any(found.activated)
    else:
        assert all(found.activated)
        assert change.mean() > 0.02
    assert len(bench.row(found)) == len(bench.HEADINGS)


# Versions.


@pytest.fixture
def store(tmp_path):
    return AdaptationStore("suite", tmp_path / "store")


@pytest.fixture
def adaptation(one_thread):
    whitening, prepared = prior(normal(40, 16), one_thread)
    adapter = fw.LoRAAdapter(16, 16, runtime=one_thread)
    adapter.update(prepared[0], prepared[1])
    return Adaptation(whitening, adapter)


def test_versions_are_kept_and_rolled_back(store, adaptation, one_thread):
    assert (store.active(), store.history()) == (None, [])
    with pytest.raises(fw.ShapeError, match="no adaptation is active"):
        store.rollback()
    one, two = (store.add(adaptation, "model", {"after": i}) for i in (1, 2))
    assert store.active() is None
    assert [v.number for v in store.history()] == [1, 2]
    for version in (one, two):
        store.activate(version)
        assert store.active() == version
    x = normal(5, 16)
    assert_same_bits(store.load(two, one_thread)(x), adaptation(x))
    assert store.rollback() == one
    assert store.active() == one
    assert store.rollback() is None
    assert store.active() is None
    assert store.history() == [one, two]


def states_on_disk(folder, act):
    """Return every state of a folder while a function runs: all files, by name.

    A process that is killed leaves the files as they are between two calls into the system. So the
    folder is looked at after each call of a C function. Text that Python has buffered is not on
    disk yet, and is lost with the process.
    """
    states = []

    def look(_frame, event, _argument):
        if event == "c_return":
            found = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
            if found not in states[-1:]:
                states.append(found)

    sys.setprofile(look)
    try:
        act()
    finally:
        sys.setprofile(None)
    return states


def test_a_kill_at_any_moment_leaves_a_whole_version_active(
    store, adaptation, one_thread, tmp_path
):
    """The old version is active, or the new one, and can be loaded."""
    store.activate(store.add(adaptation, "model", {}))
    adaptation.adapter.update(*normal(2, 16))
    vectors, active = normal(3, 16), []
    states = states_on_disk(store.folder, lambda: store.activate(store.add(adaptation, "m", {})))
    for i, files in enumerate(states):
        left = AdaptationStore("suite", tmp_path / f"state {i}")
        for path, content in files.items():
            copy = left.folder / path.relative_to(store.folder)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(content)
        version = left.active()
        assert np.isfinite(left.load(version, one_thread)(vectors)).all()
        assert {1, version.number} <= {whole.number for whole in left.history()}
        active.append(version.number)
    # Whitening, adapter, facts and the list of active versions, each written beside and renamed.
    assert len(states) > 8
    assert active == [1] * (len(states) - 1) + [2]


def test_what_is_half_written_is_no_version(store, adaptation):
    store.activate(store.add(adaptation, "model", {}))
    (store.folder / "0002").mkdir()
    adaptation.save(store.folder / "0002")
    assert [v.number for v in store.history()] == [1]
    assert store.add(adaptation, "model", {}).number == 3


@pytest.mark.parametrize("content", [b"", b"{}", b"[1, 0]", b'["1"]', b"[true]", b"[7]"])
def test_damage_is_said(store, adaptation, content):
    store.add(adaptation, "model", {})
    (store.folder / "active").write_bytes(content)
    with pytest.raises(fw.CorruptFileError):
        store.active()


# A suite of files, and the commands.


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Twelve files with two classes of tests each, a tiny model, and feedback by class."""
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    quick = SimpleNamespace(**vars(sqlite3) | {"connect": connect_quickly})
    monkeypatch.setattr("flashwasm.qe.adaptation.feedback_log.sqlite3", quick)
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
    """Open a database that does not wait for the disk; a test survives no power cut."""
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
    """Make an adaptation active that turns the order around."""
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
    # Texts go through it too.
    scores = [index.search("abc", 1)[0].components for index in (plain, adapted)]
    assert scores[0] != scores[1]
    document = json.loads(invoke("similar", ".", "-q", query, "--json").stdout)
    assert document["adaptation"] == 1
    done = invoke("similar", ".", "-q", query, "--json", "--no-adaptation")
    assert json.loads(done.stdout)["adaptation"] is None


def test_an_adaptation_of_another_model_is_left_out(project):
    activate(project, model="another")
    index = SuiteIndex.build(project, scorers=("meaning",))
    assert index.adaptation is None
    message = "the active adaptation, version 1, is of another model and is left out"
    assert index.missing == [message]
    assert message in invoke("similar", ".", "-q", index.tests[0].nodeid).stderr


def test_a_damaged_adaptation_is_left_out(project):
    version = activate(project)
    path = AdaptationStore(project).folder / f"{version.number:04}" / "adapter"
    path.write_bytes(path.read_bytes()[:-1])
    index = SuiteIndex.build(project, scorers=("meaning",))
    assert index.adaptation is None
    assert index.missing[0].startswith("the active adaptation cannot be read and is left out")


def test_the_commands(project):
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


def test_adapt_says_what_it_found(project, monkeypatch):
    """Few steps of training do: the command must say what it found, whatever that is."""
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


def test_what_does_not_help_changes_nothing(project):
    give_feedback(project, opposite=True)
    done = invoke("adapt", ".", "--json", "--fail-on-miss")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["activated"] is None
    assert AdaptationStore(project).history() == []
    assert invoke("adapt", ".").stdout.startswith("nothing changes: ")


def test_feedback_on_tests_that_are_gone(project):
    log = FeedbackLog()
    log.add(project, Judgement("test_old.py::test_a", "test_old.py::test_b", accepted=True))
    found = adapt_suite(project)
    assert (found.version, found.judged, found.unknown) == (None, 1, 1)
    assert found.verdict.reason == "no test of the feedback is in the suite"
