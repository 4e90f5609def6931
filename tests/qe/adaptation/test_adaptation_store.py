"""Versions of an adaptation on disk: stored, active, rolled back, and intact after a kill."""

import sys

import numpy as np
import pytest

import flashwasm as fw
from flashwasm.qe import AdaptationStore
from flashwasm.qe.adaptation.embedding_adaptation import Adaptation, prior
from sample_arrays import assert_same_bits, normal


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
    """Either the old or the new version is active, and it can be loaded."""
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
    # The whitening, the adapter, the facts and the list of active versions are four files. Each is
    # written under another name first, and then renamed.
    assert len(states) > 8
    assert active == [1] * (len(states) - 1) + [2]


def test_a_half_written_version_is_ignored(store, adaptation):
    store.activate(store.add(adaptation, "model", {}))
    (store.folder / "0002").mkdir()
    adaptation.save(store.folder / "0002")
    assert [v.number for v in store.history()] == [1]
    assert store.add(adaptation, "model", {}).number == 3


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[1, 0]", b'["1"]', b"[true]", b"[7]", b"[" * 999]
)
def test_a_damaged_list_of_active_versions_is_refused(store, adaptation, content):
    store.add(adaptation, "model", {})
    (store.folder / "active").write_bytes(content)
    with pytest.raises(fw.CorruptFileError):
        store.active()
