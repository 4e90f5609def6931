"""The JSON of the commands: all node ids of a test that classes inherit or files import."""

import json
from textwrap import dedent

import pytest
from click.testing import CliRunner

from flashwasm.cli import main

FILES = {
    "pytest.ini": "",
    "shop.py": "def total(prices):\n    return sum(prices)\n",
    "base.py": """
        from shop import total
        class Shared:
            def test_total(self):
                prices = [1, 2, 3]
                assert total(prices) == 6
                assert total(reversed(prices)) == 6
        def test_sum():
            prices = [1, 2, 3]
            assert total(prices) == 6
            assert total(reversed(prices)) == 6
        def test_again():
            prices = [1, 2, 3]
            assert total(prices) == 6
            assert total(reversed(prices)) == 6
        """,
    "test_inherit.py": """
        from base import Shared, test_again, test_sum
        class TestFirst(Shared): ...
        class TestSecond(Shared): ...
        """,
    "test_import.py": "from base import *\nfrom test_inherit import TestSecond",
}
OF_CLASS = {
    "test_inherit.py::TestFirst::test_total",
    "test_inherit.py::TestSecond::test_total",
    "test_import.py::TestSecond::test_total",
}
OF_SUM = {"test_inherit.py::test_sum", "test_import.py::test_sum"}
OF_AGAIN = {"test_inherit.py::test_again", "test_import.py::test_again"}
ALL = [OF_AGAIN, OF_SUM, OF_CLASS]


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_text(dedent(content))
    monkeypatch.chdir(folder)
    return folder


def output(*arguments, stdin=None):
    result = CliRunner().invoke(main, arguments, input=stdin)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return json.loads(result.stdout)


def node_ids(entries):
    """Return the sets of node ids of some entries, those of the class last."""
    found = [{entry["nodeid"], *entry["also"]} for entry in entries]
    return sorted(found, key=lambda one: (len(one), min(one)))


def test_similar_names_them():
    found = node_ids(output("similar", ".", "-q", "total", "--json")["matches"])
    assert found == ALL


def test_duplicates_names_them():
    (group,) = output("duplicates", ".", "--json")["groups"]
    assert node_ids(group["tests"]) == [OF_AGAIN, OF_SUM]


def test_tests_for_names_them():
    diff = "--- a/shop.py\n+++ b/shop.py\n@@ -2 +2 @@\n-    return sum(prices)\n+    return 0\n"
    document = output("tests-for", ".", "--diff", "-", "--dry-run", "--json", stdin=diff)
    assert node_ids(document["tests"]) == ALL


def test_the_description_of_an_index_counts_them():
    built = CliRunner().invoke(main, ["index", "build", "suite", ".", "-o", "suite.idx"])
    assert built.exit_code == 0, built.output
    facts = output("index", "info", "suite.idx", "--json")
    assert (facts["tests"], facts["nodeids"]) == (3, 7)
