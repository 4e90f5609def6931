"""The pages of reference: every public name and every command is on them.

The page of commands is generated from the commands. After a change of a command, run this file:

    python tests/docs/test_reference.py
"""

import os
import re
import subprocess
import sys
from collections.abc import Iterator

import click
from click.testing import CliRunner

import flashwasm as fw
from checkout import ROOT
from flashwasm import distributed, qe
from flashwasm.cli import main

COMMANDS = ROOT / "docs" / "reference" / "commands.md"
PYTHON = ROOT / "docs" / "reference" / "python.md"
HEAD = """\
# Commands

The help of every command, as `flashwasm COMMAND --help` prints it.
[The guide](../guide/test-suites.md) says what they are for.
"""


def commands(path: tuple[str, ...], command: click.Command) -> Iterator[tuple[str, ...]]:
    """Yield the words of a command and of its subcommands."""
    yield path
    if isinstance(command, click.Group):
        context = click.Context(command, **main.context_settings)
        for name in sorted(command.list_commands(context)):
            yield from commands((*path, name), command.get_command(context, name))


def reference() -> str:
    """Return the page of commands."""
    sections = [HEAD]
    for path in commands((), main):
        asked = [*path, "--help"]
        environment = {"COLUMNS": "88", "TERMINAL_WIDTH": "88"}
        text = CliRunner(env=environment).invoke(
            main, asked, prog_name="flashwasm", terminal_width=88
        )
        assert text.exit_code == 0, text.output
        heading = " ".join(("flashwasm", *path))
        level = "##" if len(path) < 2 else "###"
        sections.append(f"{level} `{heading}`\n\n```text\n{text.stdout.rstrip()}\n```\n")
    return "\n".join(sections)


def test_the_page_of_commands_is_what_the_commands_say():
    # click keeps the options of a command that another test has looked at, so a new process looks.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, sys.path))}
    ask = [sys.executable, __file__, "--print"]
    done = subprocess.run(ask, env=environment, capture_output=True, text=True, check=True)
    assert COMMANDS.read_text("utf-8") == done.stdout, f"if this is meant: python {__file__}"


def test_every_public_name_is_on_the_page_of_python():
    shown = set(re.findall(r"^::: (\S+)$", PYTHON.read_text("utf-8"), re.MULTILINE))
    public = {
        f"{package.__name__}.{name}"
        for package in (fw, qe, distributed)
        for name in package.__all__
        if name not in {"__version__", "distributed", "qe"} and callable(getattr(package, name))
    }
    assert public == shown


def test_the_page_of_python_shows_inherited_methods():
    """`FlatIndex.add` is a method of its base class, and the site omits such methods by default."""
    assert "add" not in vars(fw.FlatIndex)
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    assert re.search(r"^ +inherited_members: true$", text, re.MULTILINE)


def test_every_page_is_in_the_sites_navigation():
    text = (ROOT / "mkdocs.yml").read_text("utf-8")
    listed = set(re.findall(r"[\w./-]+\.md", text))

    docs = ROOT / "docs"
    assert {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} == listed


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(reference())
    else:
        COMMANDS.write_text(reference(), "utf-8")
