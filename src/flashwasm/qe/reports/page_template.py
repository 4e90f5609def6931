"""Rendering of templates to an HTML file that loads no other file; all text is escaped."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path
from typing import Any

from flashwasm import __version__
from flashwasm.optional_packages import optional_module
from flashwasm.qe.coverage.line_ranges import lines_in_words
from flashwasm.storage.atomic_files import write_atomically
from flashwasm.summaries import counted

__all__ = ["fill_template", "write_page"]

# Libraries that draw charts, in the order in which a page loads them. vendor/README.md names their
# origin.
_CHART_SCRIPTS = ("chart.umd.min.js", "chartjs-plugin-zoom.min.js", "charts.js")
# Places where a path or a node id may be wrapped. The underscores at the start of a name stay with
# the name.
_BREAKS = re.compile(r"(?:::|/)(?=.)|(?<=[A-Za-z0-9])_(?=[^_])")


def fill_template(template: str, *, charts: bool = False, **values: Any) -> str:
    """Render a template from the folder ``templates``.

    Parameters
    ----------
    template : str
        Name of the template.
    charts : bool, default False
        True to include the scripts that draw charts. Other pages contain no script.
    values : object
        Values that the template shows.

    Raises
    ------
    CapabilityError
        If Jinja2 is not installed.
    """
    jinja2 = optional_module("jinja2", "Jinja2")
    # Jinja2 depends on MarkupSafe.
    markup = optional_module("markupsafe", "MarkupSafe")

    def breakable(name: str) -> Any:
        """Return a path or node id that browsers wrap between its parts, not inside a word."""
        return markup.Markup(_BREAKS.sub(r"\g<0><wbr>", str(markup.escape(_printable(name)))))

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(__package__),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_printable,
    )
    environment.filters |= {
        "breakable": breakable,
        "counted": counted,
        "grouped": "{:,}".format,
        "in_words": lines_in_words,
    }
    environment.globals["scripts"] = [_script(name) for name in _CHART_SCRIPTS] if charts else []
    page: str = environment.get_template(template).render(version=__version__, **values)
    return page


def write_page(path: Path, page: str) -> None:
    """Write a page to a file atomically.

    Parameters
    ----------
    path : pathlib.Path
        Path of the file to write.
    page : str
        The page.
    """
    write_atomically(path, [page.encode("utf-8", "backslashreplace")])


def _printable(value: Any) -> Any:
    """Replace control characters, which HTML does not allow, except in Jinja2's markup."""
    if isinstance(value, str) and not hasattr(value, "__html__"):
        return "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in value)
    return value


def _script(name: str) -> str:
    """Return a script of flashwasm or of a library."""
    folder = files(__package__).joinpath("scripts" if name == "charts.js" else "vendor")
    lines = folder.joinpath(name).read_text("utf-8").splitlines(keepends=True)
    # The source map, which a browser's tools would look for, is not included.
    return "".join(line for line in lines if not line.startswith("//# sourceMappingURL="))
