"""The help: each command shows an example that parses, and shells complete commands and options."""

import inspect
import os
import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

import tiny_bert
from command_lines import commands_in, parse
from flashwasm.cli import COMMANDS, main


def walk(command, *names):
    """Yield (names, command) for a command and all commands inside it."""
    yield names, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from walk(command.get_command(context, name), *names, name)


EVERY = [pytest.param(*found, id=" ".join(["flashwasm", *found[0]])) for found in walk(main)]


def examples(command):
    """Return the lines of the example in a command's help."""
    text = inspect.cleandoc(command.help)
    found = re.findall(r"^\x08\nExample:\n((?:  \S.*\n?)+)", text, re.MULTILINE)
    assert len(found) == 1, text
    return [line.strip() for line in found[0].splitlines()]


@pytest.mark.parametrize(("names", "command"), EVERY)
def test_the_help_shows_one_example_of_the_command_that_parses(names, command):
    lines = examples(command)
    own = [words for line in lines for words in commands_in(line, "flashwasm")]
    assert any(words[1 : len(names) + 1] == list(names) for words in own), lines
    for words in own:
        parse(main, words)


@pytest.mark.parametrize(("names", "command"), EVERY)
def test_the_help_keeps_the_lines_of_the_example(names, command):
    shown = CliRunner().invoke(main, [*names, "--help"]).output
    block = "\n".join(f"    {line}" for line in examples(command))
    assert f"\n  Example:\n{block}\n\n" in shown
    assert "\\b" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize(
    "line",
    [
        "flashwasm similar tests -q x --no-such-option",
        "flashwasm similar tests",
        "flashwasm similar tests -q x -k many",
        "flashwasm models remove",
        "flashwasm embed x | flashwasm duplicates --format xml",
        "flashwasm index build no-such-command",
    ],
)
def test_an_example_that_does_not_parse_is_found(line):
    *_, words = commands_in(line, "flashwasm")
    with pytest.raises((click.UsageError, AssertionError)):
        parse(main, words)


def complete(*words, kinds=False):
    """Return what bash is offered for the last word, and what was imported meanwhile.

    With ``kinds``, an offer begins with its kind: "plain", "file" or "dir".
    """
    code = (
        "import sys\n"
        "from flashwasm.cli import main\n"
        "try: main(prog_name='flashwasm')\n"
        "finally: print(*sorted({'numpy', 'wasmtime'} & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
            "_FLASHWASM_COMPLETE": "bash_complete",
            "PYTHONPATH": ":".join(sys.path),
            "FLASHWASM_DATA": os.environ.get("FLASHWASM_DATA", ""),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    lines = done.stdout.splitlines()
    offers = lines if kinds else [line.partition(",")[2] for line in lines]
    return offers, done.stderr.split()


def test_a_shell_completes_commands_without_importing_one():
    assert complete("flashwasm", "") == (list(COMMANDS), [])
    assert complete("flashwasm", "de") == (["defects"], [])
    assert complete("flashwasm", "--no-c") == (["--no-config"], [])


def test_a_shell_completes_commands_of_groups_and_options():
    assert complete("flashwasm", "coverage", "")[0] == ["gap", "nearest", "redundant", "who"]
    assert complete("flashwasm", "similar", "--expl")[0] == ["--explain", "--explore"]


def test_a_shell_completes_the_commands_of_a_group_with_a_default():
    assert complete("flashwasm", "bench", "")[0] == ["all", "attention", "ops", "workloads"]
    assert complete("flashwasm", "bench", "--o")[0] == ["--op"]
    assert complete("flashwasm", "adapt", "")[0] == ["history", "rollback", "status", "train"]
    assert complete("flashwasm", "adapt", "--h")[0] == ["--help"]
    assert complete("flashwasm", "adapt", "--rep")[0] == ["--report"]


def test_a_shell_completes_values(tmp_path, monkeypatch):
    assert complete("flashwasm", "bench", "--op", "so")[0] == ["softmax"]
    assert complete("flashwasm", "models", "install", "all")[0] == ["all-MiniLM-L6-v2"]
    kinds = complete("flashwasm", "duplicates", "--fail-on", "exact,p")[0]
    assert kinds == ["exact,parametrize"]
    tiny_bert.write(tmp_path / "models" / "own")
    monkeypatch.setenv("FLASHWASM_DATA", str(tmp_path))
    for line in ("embed --model o", "models path o", "models remove o"):
        assert complete("flashwasm", *line.split())[0] == ["own"]


@pytest.mark.parametrize("line", ["search sr", "embed sr", "similar -q sr", "embed -o sr"])
def test_a_shell_completes_paths(line):
    assert complete("flashwasm", *line.split(), kinds=True)[0] == ["file,sr"]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_line_of_each_shell_in_the_help_makes_a_script(shell):
    assert f"_FLASHWASM_COMPLETE={shell}_source flashwasm" in main.epilog
    script = CliRunner().invoke(
        main, prog_name="flashwasm", env={"_FLASHWASM_COMPLETE": f"{shell}_source"}
    )
    assert (script.exit_code, f"{shell}_complete" in script.output) == (0, True)
