"""Results as tables in notebooks: every field is shown, and user text is escaped."""

import dataclasses
import inspect
from html.parser import HTMLParser

import pytest

import flashwasm as fw
from flashwasm import qe
from flashwasm.html_tables import html_table
from flashwasm.qe.workloads import configuration


@dataclasses.dataclass
class Named:
    nodeid: str = "test_a.py::test_<b>"
    source: str = "long"


@dataclasses.dataclass
class Record:
    text: object


class Cells(HTMLParser):
    """The tags of a page, and the text of each cell."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        del attrs
        self.tags.append(tag)
        self.texts.append("")

    def handle_data(self, data):
        self.texts[-1] += data


def shown(value):
    cells = Cells(html_table(Record(value)))
    assert cells.tags == ["table", "caption", "tr", "th", "td"]
    assert cells.texts[1:4] == ["Record", "", "text"]
    return cells.texts[4]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("<script>alert('x & y')</script>", "<script>alert('x & y')</script>"),
        ("two\nlines", "two\nlines"),
        ("x" * 1000, "x" * 400 + " ..."),
        (True, "yes"),
        (1234567, "1,234,567"),
        (0.123456, "0.1235"),
        (float("nan"), "nan"),
        (None, ""),
        ({"<words>": 0.5, "lines": 0.25}, "<words>: 0.5, lines: 0.25"),
        (list(range(1200)), "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, and 1,190 more"),
        ([], ""),
        ([(1, 2), ("<i>",)], "[1, 2], [<i>]"),
        ([Named(), Named("t.py::b")], "test_a.py::test_<b>, t.py::b"),
    ],
)
def test_a_value_is_shown_as_text(value, text):
    assert shown(value) == text


def results():
    """Yield the public dataclasses that functions return. Settings are shown as they are typed."""
    for package in (fw, qe):
        for name in package.__all__:
            thing = getattr(package, name)
            settings = inspect.getmodule(thing) is configuration
            if inspect.isclass(thing) and dataclasses.is_dataclass(thing) and not settings:
                yield pytest.param(thing, id=name)


@pytest.mark.parametrize("kind", list(results()))
def test_every_result_is_a_table_in_a_notebook(kind):
    assert kind._repr_html_ is html_table


def test_the_capabilities_of_this_machine():
    found = fw.capabilities()
    cells = Cells(found._repr_html_())
    names = [field.name for field in dataclasses.fields(found)]
    assert [name for name in cells.texts if name in names] == names
    assert found.wasmtime_version in cells.texts
