"""SARIF logs: the fields that the standard requires, and fingerprints that survive moves."""

import json
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from click.testing import CliRunner

from coverage_data import index_of
from flashwasm.cli import main

TESTS = """
def test_one(): assert f(1)
def test_two(): assert f(1)
def test_three():
    assert f(2)
"""
LIBRARY = "def f(x):\n    y = x\n    return (\n        y\n    )\n\n\ndef g():\n    pass\n"
LEVELS = {"none", "note", "warning", "error"}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Make a repository with a suite in a folder, a library and its coverage."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "a project"
    (folder / ".git").mkdir(parents=True)
    (folder / "tests").mkdir()
    (folder / "tests" / "pytest.ini").write_text("")
    (folder / "tests" / "test_ä%.py").write_text(TESTS)
    (folder / "lib.py").write_text(LIBRARY)
    index_of({"t.py::a|run": {"lib.py": [1, 2]}}).save(folder / "coverage.fw")
    monkeypatch.chdir(folder)
    return folder


COMMANDS = {
    "duplicates": ["duplicates", "tests"],
    "gap": ["coverage", "gap", "--coverage", "coverage.fw"],
}


def printed(*arguments):
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 1, result.output
    return result.stdout


def run_of(command):
    log = json.loads(printed(*COMMANDS[command], "--format", "sarif"))
    assert log["version"] == "2.1.0"
    assert urlsplit(log["$schema"]).path.endswith("sarif-2.1.0.json")
    assert log.keys() == {"$schema", "version", "runs"}
    (run,) = log["runs"]
    return run


def is_text(message):
    return bool(message["text"].strip())


@pytest.mark.parametrize("command", COMMANDS)
def test_a_log_has_the_fields_of_the_standard(command, folder):
    """The properties are those that SARIF 2.1.0 requires, and those that GitHub asks for."""
    run = run_of(command)
    driver = run["tool"]["driver"]
    assert driver["name"] == "flashwasm"
    assert run["columnKind"] == "unicodeCodePoints"
    ids = [rule["id"] for rule in driver["rules"]]
    assert len(set(ids)) == len(ids)
    for rule in driver["rules"]:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", rule["id"])
        assert re.fullmatch(r"([A-Z][a-z]+)+", rule["name"])
        assert all(is_text(rule[name]) for name in ("shortDescription", "fullDescription", "help"))
        assert urlsplit(rule["helpUri"]).scheme == "https"
        assert rule["defaultConfiguration"]["level"] in LEVELS
        assert all(isinstance(tag, str) for tag in rule["properties"]["tags"])
    base = urlsplit(run["originalUriBaseIds"]["ROOT"]["uri"])
    assert (base.scheme, Path(unquote(base.path))) == ("file", folder)
    assert base.path.endswith("/")
    assert run["results"]
    for result in run["results"]:
        assert ids[result["ruleIndex"]] == result["ruleId"]
        assert result["level"] in LEVELS
        assert is_text(result["message"])
        assert len(result["locations"]) == 1
        related = result["relatedLocations"]
        assert len({place["id"] for place in related}) == len(related)
        for place in (*result["locations"], *related):
            region = place["physicalLocation"]["region"]
            assert 1 <= region["startLine"] <= region["endLine"]
            file = place["physicalLocation"]["artifactLocation"]
            assert file["uriBaseId"] == "ROOT"
            path = folder / unquote(file["uri"])
            assert region["endLine"] <= len(path.read_text("utf-8").splitlines())
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
    marks = [tuple(result["partialFingerprints"].items()) for result in run["results"]]
    assert len(set(marks)) == len(marks)


def test_the_results_of_duplicates():
    first, second = run_of("duplicates")["results"]
    assert (first["ruleId"], second["ruleId"]) == ("identical-test", "identical-but-for-literals")
    (place,) = second["locations"]
    (other,) = second["relatedLocations"]
    assert place["physicalLocation"]["artifactLocation"]["uri"] == "tests/test_%C3%A4%25.py"
    assert place["physicalLocation"]["region"] == {"startLine": 2, "endLine": 2}
    assert other["physicalLocation"]["region"] == {"startLine": 4, "endLine": 5}
    assert other["logicalLocations"][0]["fullyQualifiedName"] == "test_ä%.py::test_three"


def test_the_results_of_gaps():
    results = {r["ruleId"]: r for r in run_of("gap")["results"]}
    region = results["untested-lines"]["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 3, "endLine": 5}
    text = results["untested-lines"]["message"]["text"]
    assert text == "f: no test runs line 3; extend t.py::a."
    assert results["untested-function"]["level"] == "warning"


@pytest.mark.parametrize("command", COMMANDS)
def test_fingerprints_do_not_depend_on_lines(command, folder):
    before = [result["partialFingerprints"] for result in run_of(command)["results"]]
    for file in (folder / "tests" / "test_ä%.py", folder / "lib.py"):
        file.write_text("# One.\n# Two.\n" + file.read_text().replace("= x", "=  x  # Three."))
    index_of({"t.py::a|run": {"lib.py": [3, 4]}}).save(folder / "coverage.fw")
    results = run_of(command)["results"]
    assert [result["partialFingerprints"] for result in results] == before
