"""A short run of every target, with the same changes in each run."""

import random

import pytest
import targets
from index_targets import INDEX_TARGETS
from source_targets import SOURCE_TARGETS
from targets import check, check_with_memory

ALL = {target.name: target for target in [*INDEX_TARGETS, *SOURCE_TARGETS]}
# Changed files that each target reads, and how many of them with an eye on memory.
CHANGES, WITH_MEMORY = 60, 20


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FLASHWASM_CACHE", "")
    monkeypatch.setenv("FLASHWASM_DATA", "")
    targets.enter(tmp_path)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("name", ALL)
def test_a_changed_file_is_read_or_refused_with_one_clear_line(name):
    target = ALL[name]
    seeds = target.seeds()
    for seed in seeds:
        assert check(target, seed) is None, "the seed is no whole file"
    generator = random.Random(name)  # noqa: S311 - it must repeat.
    for i in range(CHANGES):
        content = target.edit(generator.choice(seeds), seeds, generator, target.tokens)
        try:
            (check if i >= WITH_MEMORY else check_with_memory)(target, content)
        except BaseException as error:
            error.add_note(f"change {i} of {name}: {content[:2000]!r}")
            raise
