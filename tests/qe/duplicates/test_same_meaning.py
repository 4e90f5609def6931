"""Tests that share only pytest idioms are not duplicates; tests of the same meaning are."""

from textwrap import dedent

import numpy as np
import pytest

from flashwasm.qe import collect, find_duplicates
from flashwasm.qe.coverage.coverage_database import CoverageData
from flashwasm.qe.coverage.coverage_index import CoverageIndex
from flashwasm.qe.duplicates.same_meaning import Meaning, meaning_of

pytest.importorskip("sklearn")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "pytest.ini").write_text("")
    return folder


def tiers(folder, source):
    """Return the tiers of the groups of a file, all of whose tests run the same line."""
    other = "def test_of_something_else(): assert [ord(c) for c in 'zyxw'] != range(99)\n"
    (folder / "test_x.py").write_text(f"{dedent(source)}\n{other}")
    tests = collect(folder, cache=False).tests
    contexts = [f"{test.nodeid}|run" for test in tests]
    lines = {(0, i): np.array([2]) for i in range(len(tests))}
    coverage = CoverageIndex(CoverageData(["lib.py"], contexts, lines))
    return [group.tier for group in find_duplicates(tests, coverage=coverage)]


# Pairs that share an idiom, as reports against clone detectors show them.
IDIOMS = {
    "requests of two pages by two methods": """
        def test_get_the_front_page(client):
            response = client.get("/")
            assert response.status_code == 200
        def test_post_to_the_front_page(client):
            response = client.post("/")
            assert response.status_code == 200
        """,
    "two attributes of a response": """
        def test_the_status_of_the_page(client):
            response = client.get("/")
            assert response.status == 200
        def test_the_length_of_the_page(client):
            response = client.get("/")
            assert response.length == 200
        """,
    "two exceptions": """
        def test_a_type_that_is_wrong():
            with pytest.raises(TypeError):
                parse(None)
        def test_a_value_that_is_wrong():
            with pytest.raises(ValueError):
                parse(None)
        """,
    "two functions that raise": """
        def test_that_parse_refuses_none():
            with pytest.raises(TypeError):
                parse(None)
        def test_that_format_refuses_none():
            with pytest.raises(TypeError):
                format_all(None)
        """,
    "two commands": """
        def test_the_command_list(runner):
            result = CliRunner().invoke(list_command, [])
            assert result.exit_code == 0
        def test_the_command_show(runner):
            result = CliRunner().invoke(show_command, [])
            assert result.exit_code == 0
        """,
    "two fixtures": """
        def test_render_the_template(env):
            template = env.from_string("x")
            assert template.render() == "x"
        def test_render_the_template_async(env_async):
            template = env_async.from_string("x")
            assert template.render() == "x"
        """,
    "two keywords": """
        def test_words_of_at_least_so_many():
            for _ in range(5):
                assert count(make_words(least=5)) >= 5
        def test_words_of_at_most_so_many():
            for _ in range(5):
                assert count(make_words(most=5)) <= 5
        """,
    "two values, checked in two ways": """
        def test_the_next_number_of_one():
            number = next_number(1)
            assert number == 2
        def test_the_next_number_of_seven():
            number = next_number(7)
            assert number > 7
        """,
}
# Pairs with other literals only, which could be one parametrised test.
CANDIDATES = {
    "requests of two pages": """
        def test_get_a(client):
            assert client.get("/a").status == 200
        def test_get_b(client):
            assert client.get("/b").status == 200
        """,
    "two arguments that raise": """
        def test_refuses_none():
            with pytest.raises(TypeError):
                parse(None)
        def test_refuses_one():
            with pytest.raises(TypeError):
                parse(1)
        """,
    "two lists of arguments": """
        def test_the_option_a():
            result = CliRunner().invoke(command, ["-a"])
            assert result.exit_code == 0
        def test_the_option_b():
            result = CliRunner().invoke(command, ["-b"])
            assert result.exit_code == 0
        """,
}


@pytest.mark.parametrize("source", IDIOMS.values(), ids=IDIOMS)
def test_an_idiom_around_two_meanings_makes_no_duplicates(folder, source, monkeypatch):
    assert tiers(folder, source) == []
    # By the likeness of their texts alone, the tests would be duplicates.
    monkeypatch.setattr(Meaning, "agrees", lambda *_: True)
    assert tiers(folder, source) == [3]


@pytest.mark.parametrize("source", CANDIDATES.values(), ids=CANDIDATES)
def test_other_literals_make_candidates_for_one_test(folder, source):
    assert tiers(folder, source) == [2]


def test_the_same_names_and_values_in_another_order_make_duplicates(folder):
    source = """
        def test_add_a_node():
            graph = Graph()
            graph.add("a")
            assert len(graph) == 1
        def test_add_a_node_to_a_graph():
            graph = Graph()
            graph.add("a")
            assert 1 == len(graph)
        """
    assert tiers(folder, source) == [3]


def test_the_names_of_a_test_are_without_its_own_variables():
    source = '''
        def test_a(self, client):
            """Text."""
            x = client.get("/", follow=True)
            assert [y for y in x.lines if y != 3]
    '''
    meaning = meaning_of(dedent(source))
    assert meaning.names == {"client", ".get", "follow=", ".lines"}
    assert meaning.values == {"'/'", "True", "3"}
    assert meaning_of("(").names == frozenset()
