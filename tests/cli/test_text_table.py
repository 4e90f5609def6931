"""Tables of text: nothing is cut, and a text wider than a line gets lines of its own."""

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flashwasm.text_table import TextTable, wrapped

WORD = st.text(st.sampled_from("ab-_:/\u00e9\u6587"), min_size=1, max_size=40)
CELL = st.lists(WORD, max_size=6).map(" ".join)
HEADINGS = ["score", "a long heading", "test", "why"]


@given(st.lists(st.tuples(WORD, WORD, WORD, CELL), max_size=5), st.integers(5, 200))
def test_no_cell_is_cut_at_any_width(rows, width):
    table = TextTable(HEADINGS, rows, right=["score"], prose=["why"])
    lines = list(table.lines(width))
    cells = {cell for row in rows for cell in row[:3]}
    words = {word for row in rows for word in row[3].split()}
    for cell in cells:
        assert any(cell in line for line in lines), (cell, lines)
    for row in rows:
        # The words of prose are all there, in their order.
        text = iter(word for line in lines for word in line.split())
        assert all(word in text for word in row[3].split())
    for line in lines:
        alone = line.strip() in cells | words | {w for h in HEADINGS for w in h.split()}
        assert cell_len(line) <= width or alone, (line, width)


def test_columns_stand_beside_each_other_where_they_fit():
    table = TextTable(("n", "test"), [("1", "a::b"), ("20", "c")], right=["n"], title="Tests")
    assert list(table.lines(9)) == ["Tests", " n  test", " 1  a::b", "20  c"]
    assert list(table.lines()) == list(table.lines(9))


def test_a_row_takes_several_lines_where_its_columns_do_not_fit():
    table = TextTable(("score", "test", "why"), [("1.5", "a.py::test_b", "")], prose=["why"])
    assert list(table.lines(16)) == ["score", "    test", "    why", "1.5", "    a.py::test_b"]


def test_only_a_last_cell_that_is_too_wide_goes_to_the_next_line():
    long = "test_forms.py::test_a_long_name"
    table = TextTable(("score", "test"), [("1.5", long), ("0.5", "a.py::test_b")])
    assert list(table.lines(37)) == ["score  test", "1.5", f"    {long}", "0.5    a.py::test_b"]
    assert list(table.lines(38)) == ["score  test", f"1.5    {long}", "0.5    a.py::test_b"]


def test_prose_takes_the_rest_of_the_line():
    why = "the same frame and the same error"
    table = TextTable(("status", "why"), [("known", why)], prose=["why"])
    assert list(table.lines(41)) == ["status  why", f"known   {why}"]
    assert list(table.lines(40)) == ["status  why", f"known   {why[:-6]}", "        error"]
    assert list(table.lines(31)) == [
        "status",
        "    why",
        "known",
        "    the same frame and the same",
        "    error",
    ]


def test_long_headings_are_wrapped_over_narrow_cells():
    table = TextTable(("over NumPy", "over one read"), [("1x", "2x")])
    assert list(table.lines(14)) == [
        "over      over",
        "NumPy     one",
        "          read",
        "1x        2x",
    ]


def test_characters_that_move_the_cursor_are_escaped():
    assert list(TextTable(("a",), [("x\x1b[2J\ny",)]).lines())[1] == "x\\x1b[2J\\ny"


def test_headings_get_the_style():
    table = TextTable(("a",), [("b",)], title="t")
    assert list(table.lines(9, style=str.upper)) == ["T", "A", "b"]


def test_a_wrapped_line_keeps_its_first_blanks():
    assert wrapped("    both have: a, b", 14, "      ") == ["    both have:", "      a, b"]
    assert wrapped("short", 80) == ["short"]
    assert wrapped("any  text", None) == ["any  text"]
