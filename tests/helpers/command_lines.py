"""Command lines in texts, which click reads without running them."""

import shlex

import click

# What separates the programs of one line of a shell.
_BETWEEN = {"|", "&&", ";"}


def commands_in(line, program):
    """Yield the words of each call of a program in a line of a shell."""
    words = []
    for word in [*shlex.split(line, comments=True), ";"]:
        if word not in _BETWEEN:
            words.append(word)
            continue
        if words[:1] == [program]:
            yield words
        words = []


def parse(command, words):
    """Let click read a command line; a group hands the rest to its command.

    Options exist, required ones are there, and each value is one that its option takes. Files need
    not exist.
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
    # What follows two dashes is for another program.
    words = words[: words.index("--")] if "--" in words else words
    given, rest, _ = command.make_parser(context).parse_args(words[1:])
    assert not rest, words
    for parameter in command.params:
        value = given.get(parameter.name)
        if not isinstance(value, (str, list, tuple)) or not value:
            assert not parameter.required, f"{parameter.name} is missing: {words}"
        elif not isinstance(parameter.type, click.Path):
            parameter.type_cast_value(context, value)
