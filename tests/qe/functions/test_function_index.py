"""The functions of a program by description: `FunctionIndex`, and the command `search`."""

import json
import re
from textwrap import dedent

import pytest
from click.testing import CliRunner

import flashwasm as fw
import tiny_bert
from flashwasm.cli import main
from flashwasm.qe import FunctionIndex
from flashwasm.qe.functions.function_collection import collect_functions
from shop_program import SHOP


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    (tmp_path / "shop" / "shop.py").write_text(SHOP)
    (tmp_path / "shop" / "test_shop.py").write_text("def test_total_price(): ...")
    return tmp_path / "shop"


def invoke(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_functions_are_collected(folder):
    (folder / "lib.py").write_text(
        dedent("""
        class Box:
            @property
            def size(self):
                def inner(): ...
                return 1
        async def go(): ...
        """)
    )
    (folder / "broken.py").write_text("def x(:")
    (folder / "binary.py").write_bytes(b"\0\xff")
    functions, skipped = collect_functions(".")
    found = {f.name for f in functions if f.path.name == "lib.py"}
    assert found == {"Box.size", "Box.size.inner", "go"}
    assert {f.name for f in functions if f.path.name == "shop.py"} >= {"add_item"}
    assert not [f for f in functions if f.path.name == "test_shop.py"]
    assert sorted(s.path.name for s in skipped) == ["binary.py", "broken.py"]
    with pytest.raises(fw.ShapeError, match="does not exist"):
        collect_functions("no")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_source_is_the_whole_function(folder, end):
    # A page break is a character of its line for Python, and a break between lines for str.
    text = 'x = 1\n\x0c\ndef first(): return 1\n\x0c\ndef second():\n    return "\x0b"\n'
    (folder / "pages.py").write_bytes(text.replace("\n", end).encode())
    functions, _ = collect_functions("pages.py")
    sources = [(one.line, one.source) for one in functions]
    assert sources == [(3, "def first(): return 1"), (5, 'def second():\n    return "\x0b"')]


def test_a_source_is_read_in_the_encoding_that_its_file_declares(folder):
    source = 'def größe():\n    """Prüft die Größe — genau."""'
    (folder / "latin.py").write_bytes(f"# coding: cp1252\n{source}\n".encode("cp1252"))
    (folder / "undeclared.py").write_bytes(source.encode("cp1252"))
    functions, skipped = collect_functions(".")
    assert [one.source for one in functions if one.name == "größe"] == [source]
    (refused,) = skipped
    assert (refused.path.name, refused.reason[:10]) == ("undeclared.py", "not Python")


def test_search_by_identifiers_and_by_embeddings(folder):
    index = FunctionIndex.build(".")
    assert index.scorers == ["identifiers"]
    assert "models install" in index.missing[0]
    (match,) = index.search("the total price", 1)
    assert (match.function.name, match.function.line) == ("total_price", 4)
    for words, k in ((" ", 1), ("x", 0)):
        with pytest.raises(fw.ShapeError):
            index.search(words, k)
    tiny_bert.write(folder.parent / "model")
    index = FunctionIndex.build(".", model=folder.parent / "model")
    assert (index.scorers, index.missing) == (["meaning", "name"], [])
    assert len(index.search("price")) == 3
    with pytest.raises(fw.CapabilityError):
        FunctionIndex.build(".", model="no-such")


def test_command_prints_functions_and_explains_them(folder):
    result = invoke("search", ".", "total price", "-k", "1")
    assert re.fullmatch(r"\d\.\d{3}\ttotal_price\t.*shop\.py:4\n", result.stdout)
    assert re.fullmatch(r"note: model .*\n", result.stderr)
    document = json.loads(invoke("search", ".", "total price", "--json").stdout)
    assert document["matches"][0]["name"] == "total_price"
    assert list(document["matches"][0]["components"]) == ["identifiers"]
    document = json.loads(invoke("search", ".", "total price", "--json", "--explain").stdout)
    assert document["matches"][0]["shared_words"] == ["total", "price"]
    result = invoke("search", ".", "total price", "-k", "1", "--explain")
    # The one share is the whole score.
    assert re.fullmatch(
        r"(\d\.\d{3})  total_price  shop\.py:4\n    identifiers \1\n"
        r"    both have: total, price\n",
        result.stdout,
    )
    (folder / "empty").mkdir()
    result = invoke("search", "empty", "x")
    said = "no functions in empty; expected a folder or a file of Python code\n"
    assert (result.exit_code, result.stderr) == (1, said)
    assert invoke("search", ".", " ").exit_code == 2
