"""Settings in pyproject.toml: defaults of the options of every command."""

import json
import re
from textwrap import dedent

import click
import pytest
from click.testing import CliRunner

from flashwasm.cli import COMMANDS, main
from flashwasm.cli.settings import command_defaults, nearest_settings, read_settings
from flashwasm.errors import ShapeError

TWICE = "def test_one():\n    assert f(1)\n\n\ndef test_two():\n    assert f(1)\n"


@pytest.fixture(autouse=True)
def project(tmp_path, monkeypatch):
    """Make a project whose suite has a group of duplicates, and go to it."""
    monkeypatch.setenv("FLASHWASM_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "project"
    (folder / "tests").mkdir(parents=True)
    (folder / "tests" / "test_twice.py").write_text(TWICE)
    monkeypatch.chdir(folder)
    return folder


def write(file, text):
    file.write_text(dedent(text))


def invoke(*arguments):
    result = CliRunner().invoke(main, list(map(str, arguments)))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_nearest_file_gives_defaults_and_the_command_line_wins(project, monkeypatch):
    write(
        project / "pyproject.toml",
        '[tool.flashwasm.duplicates]\njson = true\nfail-on = "coverage"\n',
    )
    result = invoke("duplicates", "tests")
    assert result.exit_code == 0
    assert len(json.loads(result.stdout)["groups"]) == 1
    assert invoke("duplicates", "tests", "--fail-on", "exact").exit_code == 1
    result = invoke("--no-config", "duplicates", "tests")
    assert (result.exit_code, result.stdout.startswith("identical")) == (1, True)
    monkeypatch.chdir(project / "tests")
    assert invoke("duplicates", ".").exit_code == 0
    # A nearer file takes the place of the other one.
    write(project / "tests" / "pyproject.toml", "[project]\n")
    assert invoke("duplicates", ".").exit_code == 1


def test_a_file_may_be_named(project):
    write(project / "pyproject.toml", "[tool.flashwasm.duplicates]\nexit-zero = true\n")
    write(project / "strict.toml", "[tool.flashwasm.duplicates]\nfail_on = ['exact', 'coverage']\n")
    assert invoke("--config", "strict.toml", "duplicates", "tests").exit_code == 1
    write(project / "other.toml", "[tool]\n")
    result = invoke("--config", "other.toml", "duplicates", "tests")
    assert (result.exit_code, result.stdout) == (2, "")
    message = "other.toml has no table [tool.flashwasm]; add it, or give no --config"
    assert result.stderr == f"Error: --config: {message}\n"
    for arguments in (["--config", "no.toml"], ["--config", "other.toml", "--no-config"]):
        assert invoke(*arguments, "duplicates", "tests").exit_code == 2


def test_commands_of_groups_have_tables_of_their_own(project):
    write(
        project / "pyproject.toml",
        """
        [tool.flashwasm.coverage.gap]
        coverage = "data/x.db"
        k = 3
        [tool.flashwasm.bench.ops]
        op = ["softmax"]
        [tool.flashwasm.index.build.suite]
        output = "suite.fw"
        """,
    )
    settings = read_settings(project / "pyproject.toml")
    defaults = command_defaults(settings, project / "pyproject.toml", main, COMMANDS, None)
    assert defaults == {
        "coverage": {"gap": {"database": "data/x.db", "count": 3}},
        "bench": {"ops": {"operations": ["softmax"]}},
        "index": {"build": {"suite": {"output": "suite.fw"}}},
    }
    result = invoke("coverage", "gap")
    assert (result.exit_code, "data/x.db" in result.stderr) == (2, True)


def test_relative_paths_start_at_the_file(project, monkeypatch):
    write(project / "pyproject.toml", "[tool.flashwasm.duplicates]\nsarif = 'out/log.sarif'\n")
    monkeypatch.chdir(project / "tests")
    assert invoke("duplicates", ".").exit_code == 1
    assert (project / "out" / "log.sarif").is_file()


def test_a_path_on_the_command_line_wins_over_an_index_in_the_settings(project):
    assert invoke("index", "build", "suite", "tests", "-o", "suite.fw").exit_code == 0
    write(project / "pyproject.toml", "[tool.flashwasm.duplicates]\nindex = 'suite.fw'\n")
    (project / "new").mkdir()
    (project / "new" / "test_new.py").write_text(TWICE)
    assert "test_new.py::test_one" in invoke("duplicates", "new").stdout
    assert "test_twice.py::test_one" in invoke("duplicates").stdout
    result = invoke("duplicates", "new", "--index", "suite.fw")
    assert (result.exit_code, "not both" in result.stderr) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[tool.flashwasm.duplicate]",
            r"\[tool.flashwasm\] duplicate is not the name of a command; the nearest is duplicates",
        ),
        (
            "[tool.flashwasm.duplicates]\nexit-zer = true",
            "exit-zer is not the name of an option; the nearest is exit-zero",
        ),
        ("[tool.flashwasm]\nduplicates = 1", "duplicates is 1; expected a table"),
        ("[tool]\nflashwasm = 1", "tool.flashwasm is 1; expected a table"),
        ("[tool.flashwasm.duplicates]\nexit-zero = 'yes'", "is 'yes'; expected true or false"),
        (
            "[tool.flashwasm.duplicates]\nsarif = true",
            "is True; expected a text, a number or a list",
        ),
        (
            "[tool.flashwasm.duplicates]\nfail-on = 'old'",
            "fail-on is 'old': 'old' is not one of exact",
        ),
        ("[tool.flashwasm.duplicates]\nfail-on = 3", "fail-on is 3: "),
        ("[tool.flashwasm.duplicates]\nindex = 'no.fw'", "index is 'no.fw': .*does not exist"),
        ("[tool.flashwasm.duplicates]\nexit-zero = true\nexit_zero = true", "a second time"),
        ("[tool.flashwasm.duplicates.more]", "more is not the name of an option"),
        ("[tool.flashwasm", " is not TOML: "),
    ],
)
def test_what_a_file_gets_wrong_is_one_line(project, text, message):
    write(project / "pyproject.toml", text)
    result = invoke("duplicates", "tests")
    assert (result.exit_code, result.stdout) == (2, "")
    assert re.fullmatch(f"Error: .*pyproject.toml.*{message}.*\n", f"{result.stderr}"), (
        result.stderr
    )


def test_a_mistake_in_the_table_of_another_command_waits_for_that_command(project):
    write(project / "pyproject.toml", "[tool.flashwasm.similar]\nno = 1\n")
    assert invoke("duplicates", "tests").exit_code == 1
    assert invoke("similar", "tests", "-q", "x").exit_code == 2


def test_a_project_without_settings(project):
    assert nearest_settings() is None or project not in nearest_settings().parents
    write(project / "pyproject.toml", "[tool.ruff]\n")
    assert read_settings(nearest_settings()) is None
    assert invoke("duplicates", "tests").exit_code == 1


def every_option(command, path=()):
    """Yield each command that is no group, with its path."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            yield from every_option(command.get_command(context, name), (*path, name))
    else:
        yield path, command


def test_every_option_of_every_command_has_a_key():
    """Each option can be set by one of its names, and two options never share a key."""
    for path, command in every_option(main):
        options = [p for p in command.params if isinstance(p, click.Option)]
        keys = [spelling.lstrip("-") for option in options for spelling in option.opts]
        assert len(set(keys)) == len(keys), path
        for option in options:
            for key in option.opts:
                settings = {key.lstrip("-"): {}}
                for name in reversed(path):
                    settings = {name: settings}
                # An empty table is no value: the message names the key, so the key is known.
                with pytest.raises(ShapeError, match=r"is \{\}; expected"):
                    command_defaults(
                        settings, nearest_settings() or main.name, main, COMMANDS, None
                    )
