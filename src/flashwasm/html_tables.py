"""Results as HTML tables, which notebooks show in place of ``repr``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from html import escape
from typing import Any

__all__ = ["html_table"]

# Maximum number of characters of a text in a cell, and of items of a list.
_SHOWN_CHARACTERS = 400
_SHOWN_ITEMS = 10


def html_table(record: Any) -> str:
    """Return a record's fields and their values as an HTML table.

    A result class uses this function as its method ``_repr_html_``, which notebooks call.

    Parameters
    ----------
    record : dataclass
        The record. Its values are escaped, so that none is interpreted as HTML.
    """
    style = "text-align: left; white-space: pre-wrap"
    rows = "".join(
        f'<tr><th style="{style}">{escape(field.name)}</th>'
        f'<td style="{style}">{escape(_text(getattr(record, field.name)))}</td></tr>'
        for field in fields(record)
    )
    return f"<table><caption>{escape(type(record).__name__)}</caption>{rows}</table>"


def _text(value: Any) -> str:
    """Return a value as readable text, truncated if it is long."""
    if isinstance(value, Mapping):
        pairs = [f"{_text(key)}: {_text(item)}" for key, item in _first(value.items())]
        return _listed(pairs, value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return _listed([_inner(item) for item in _first(value)], value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    # Show a test by its node id, because its source would fill the page.
    nodeid = getattr(value, "nodeid", None)
    return _cut(nodeid if isinstance(nodeid, str) else "" if value is None else str(value))


def _inner(value: Any) -> str:
    """Return an item of a list as text; a nested list gets brackets."""
    return f"[{_text(value)}]" if isinstance(value, (list, tuple)) else _text(value)


def _first(items: Collection[Any]) -> list[Any]:
    """Return the first items of a collection."""
    return [item for item, _ in zip(items, range(_SHOWN_ITEMS), strict=False)]


def _listed(shown: list[str], items: Collection[Any]) -> str:
    """Return the texts of the first items and the number of the remaining items, as one text."""
    more = len(items) - len(shown)
    return ", ".join([*shown, *([f"and {more:,} more"] if more else [])])


def _cut(text: str) -> str:
    """Return a text, truncated to the maximum number of characters in a cell."""
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]} ..."
