"""The public face of the package: public names, commands with their options, options of pytest.

The file public_face.txt beside this one records one name, command or option in each line. After an
intended change, run this file, which writes the record again, and review the difference:

    python tests/structure/test_public_face.py
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click

import flashwasm as fw
from flashwasm import distributed, qe
from flashwasm.cli import main
from flashwasm.pytest_plugin import pytest_addoption

RECORD = Path(__file__).with_name("public_face.txt")


def public_face() -> list[str]:
    """Return each public name, each command with its arguments, and each option, a line each."""
    names = [
        f"{package.__name__}.{name}"
        for package in (fw, distributed, qe)
        for name in package.__all__
    ]
    return [*sorted(names), *command_lines("flashwasm", main), *sorted(pytest_options())]


def pytest_options() -> list[str]:
    """Return the lines of the options that the plugin adds to pytest."""
    lines = []

    class Parser:
        """The part of pytest's parser that the plugin uses."""

        def getgroup(self, _name: str) -> "Parser":
            """Return the group to add options to."""
            return self

        def addoption(self, name: str, *, action: str = "store", **_others: str) -> None:
            """Note the name of an option, and whether it takes a value."""
            lines.append(f"pytest {name}" + " VALUE" * (action == "store"))

    pytest_addoption(Parser())
    return lines


def command_lines(path: str, command: click.Command) -> Iterator[str]:
    """Yield the lines of a command, and after them those of its subcommands."""
    arguments = [shown(p) for p in command.params if isinstance(p, click.Argument)]
    yield " ".join([path, *arguments])
    options = [shown(p) for p in command.params if isinstance(p, click.Option)]
    yield from sorted(f"{path} {option}" for option in options)
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in sorted(command.list_commands(context)):
            yield from command_lines(f"{path} {name}", command.get_command(context, name))


def shown(parameter: click.Parameter) -> str:
    """Return a parameter as the record has it.

    An argument is its name, in brackets if it may be left out. An option is all its spellings, and
    VALUE for each value that it takes: ``-o, --output VALUE``.
    """
    if isinstance(parameter, click.Argument):
        name = parameter.human_readable_name
        return name if parameter.required or name.startswith("[") else f"[{name}]"
    spellings = ", ".join(sorted([*parameter.opts, *parameter.secondary_opts], key=len))
    return spellings if parameter.is_flag else spellings + " VALUE" * parameter.nargs


def test_the_public_face_is_the_one_on_record():
    recorded, found = RECORD.read_text("utf-8").splitlines(), public_face()
    lost = [f"on record, but not in the package: {x}" for x in recorded if x not in found]
    added = [f"in the package, but not on record: {x}" for x in found if x not in recorded]
    differences = "\n".join([*lost, *added])
    assert not differences, f"{differences}\nIf this is meant: python {__file__}"
    assert recorded == found, "the record's lines are right, but out of order, or some stand twice"


def test_no_signature_shows_a_private_parameter():
    things = [
        getattr(package, name) for package in (fw, distributed, qe) for name in package.__all__
    ]
    classes = [x for x in things if inspect.isclass(x) and "flashwasm" in x.__module__]
    functions = [x for x in things if inspect.isfunction(x)]
    # Python 3.13 calls a cached property a routine, too.
    members = (f for x in classes for _, f in inspect.getmembers(x, inspect.isroutine))
    functions += filter(callable, members)
    own = [f for f in functions if "flashwasm" in (getattr(f, "__module__", None) or "")]
    assert len(own) > 100
    found = [
        f"{function.__qualname__}({name})"
        for function in own
        for name in inspect.signature(function).parameters
        if name.startswith("_") and name != "_"
    ]
    assert not found, found


if __name__ == "__main__":
    RECORD.write_text("\n".join([*public_face(), ""]), "utf-8")
