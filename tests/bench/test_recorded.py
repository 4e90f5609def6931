"""Stored results: they are read back completely, and rendered as the committed documents."""

import json
import math
from dataclasses import replace

import pytest

from bench import recorded
from bench.findings import Comparison
from flashwasm.benchmarks.processor import Processor, kind_of, this_processor
from flashwasm.errors import CorruptFileError

RESULTS = recorded.read_results()


def test_the_committed_tables_are_what_the_committed_results_render_to():
    assert RESULTS
    assert recorded.TABLES.read_text("utf-8") == recorded.tables_of(RESULTS)


@pytest.mark.parametrize("kind", RESULTS)
def test_a_result_is_read_back_whole(kind):
    path = recorded.TABLES.parent.parent / "bench" / "results" / f"{kind}.json"
    assert RESULTS[kind].as_dict() == json.loads(path.read_text("utf-8"))


def test_a_recorded_file_has_a_record_a_line():
    found = next(iter(RESULTS.values()))
    text = recorded.document_text(found.as_dict())
    path = recorded.TABLES.parent.parent / "bench" / "results" / f"{next(iter(RESULTS))}.json"
    assert path.read_text("utf-8") == text
    assert sum(line.startswith("  {") for line in text.splitlines()) == sum(
        len(value) for value in found.as_dict().values() if isinstance(value, list)
    )
    assert '"best": 0.012346,' in recorded.document_text({"a": [{"best": 0.0123456, "b": 1}]})


def test_nan_is_kept():
    found = next(iter(RESULTS.values()))
    lengths = [replace(found.lengths[0], scalar=math.nan)]
    document = Comparison(found.facts, lengths=lengths).as_dict()
    assert document["lengths"][0]["scalar"] is None
    assert math.isnan(Comparison.from_dict(document).lengths[0].scalar)


def test_a_run_replaces_the_file_of_its_processor(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "_RESULTS", tmp_path / "results")
    monkeypatch.setattr(recorded, "this_processor", lambda: Processor("AuthenticAMD", 25, 97, "x"))
    for threads in (1, 2):
        path = recorded.record_result(Comparison({"threads": threads}))
    assert path.name == "amd-zen-4.json"
    (found,) = recorded.read_results(path.parent).values()
    assert (found.facts["threads"], found.facts["processor"]) == (2, "x")


def test_the_picture_is_of_the_latest_result():
    pytest.importorskip("matplotlib")
    assert recorded.picture_of(RESULTS).startswith(b"<?xml")


@pytest.mark.parametrize(
    ("processor", "kind"),
    [
        (Processor("GenuineIntel", 6, 143, "Intel(R) Xeon(R) Platinum"), "intel-sapphire-rapids"),
        (Processor("GenuineIntel", 6, 167, "Intel Xeon E-2300"), "intel-rocket-lake"),
        (Processor("GenuineIntel", 6, 167, "Xeon", ("amx_tile",)), "intel-sapphire-rapids"),
        (Processor("GenuineIntel", 6, 173, "Xeon 6", ("amx_tile",)), "intel-granite-rapids"),
        (Processor("AuthenticAMD", 25, 1, "AMD EPYC 7763"), "amd-zen-3"),
        (Processor("AuthenticAMD", 25, 17, "AMD EPYC 9004"), "amd-zen-4"),
        (Processor("GenuineIntel", 6, 999, "Intel(R) Foo(TM) CPU 7 @ 2.00GHz"), "intel-foo-7"),
        (Processor("", 0, 0, "Apple M4"), "apple-m4"),
        (Processor("", 0, 0, ""), "unknown"),
    ],
)
def test_kinds_of_processors_have_plain_names(processor, kind):
    assert kind_of(processor) == kind


def test_the_first_processor_of_cpuinfo_is_read(tmp_path):
    text = "processor\t: 0\nvendor_id\t: GenuineIntel\ncpu family\t: 6\nmodel\t\t: 143\n"
    text += "model name\t: Xeon\nflags\t: fpu fma avx512f amx_tile\n\nprocessor\t: 1\nmodel\t: 5\n"
    (tmp_path / "cpuinfo").write_text(text)
    expected = Processor("GenuineIntel", 6, 143, "Xeon", ("fpu", "fma", "avx512f", "amx_tile"))
    assert this_processor(tmp_path / "cpuinfo") == expected
    assert expected.arithmetic == "fma avx512f amx_tile"
    assert this_processor(tmp_path / "absent").name


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"machine": {}, "peers": [{"name": 1}]}', "[" * 9999]
)
def test_a_file_without_results_is_refused(tmp_path, content):
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(CorruptFileError, match=r"x\.json holds no recorded result"):
        recorded.read_results(tmp_path)
