"""Parsing of command lines in texts by click, without running them."""

import shlex

import click

# Words that separate the programs in one line of a shell.
_BETWEEN = {"|", "&&", ";"}


def commands_in(line, program):
    """Yield the words of each call of a program in a shell's line."""
    words = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in _BETWEEN:
            words.append(word)
            continue
        if words[:1] == [program]:
            yield words
        words = []


def parse(command, words):
    """Parse a command line with click; a group passes the rest to its command.

    An error is raised if an option does not exist, a required option is missing, or an option does
    not accept its value. Files need not exist.
    """
    context = command.make_context(words[0], words[1:], resilient_parsing=True)
    if isinstance(command, click.Group):
        name = next(word for word in words[1:] if not word.startswith("-"))
        inner = command.get_command(context, name)
        default = getattr(command, "default_command", None)
        if inner is None and default is not None:
            words = [default, *words[1:]]
            name, inner = default, command.get_command(context, default)
        assert inner is not None, f"no command {name}"
        parse(inner, words[words.index(name) :])
        return
    # Words after two dashes are for another program.
    words = words[: words.index("--")] if "--" in words else words
    given, rest, _ = command.make_parser(context).parse_args(words[1:])
    assert not rest, words
    for parameter in command.params:
        value = given.get(parameter.name)
        if not isinstance(value, (str, list, tuple)) or not value:
            assert not parameter.required, f"{parameter.name} is missing: {words}"
        elif not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)
