"""The command line: each command parses its arguments, calls the library, and prints."""

from __future__ import annotations

import errno
import gc
import sys
import warnings
from difflib import get_close_matches
from importlib import import_module
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from flashwasm import __version__
from flashwasm.cli.existing_path import ExistingPath
from flashwasm.cli.exit_status import INTERRUPTED, without_broken_pipes
from flashwasm.cli.settings import command_defaults, nearest_settings, read_settings
from flashwasm.cli.usage_errors import explained
from flashwasm.errors import FlashWasmError, ShapeError
from flashwasm.storage.cache_warnings import UnwritableCacheWarning

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["ErrorsInOneLine", "main"]

# The name of each command, and its line in `flashwasm --help`. The command `x-y` is the attribute
# `x_y` of the module flashwasm.cli.x_y. The line repeats the first line of the command's docstring,
# so that `flashwasm --help` need not import the command.
COMMANDS = {
    "adapt": "Learn from feedback, if a measurement shows that this helps.",
    "bench": "Measure speed and memory on this machine, in comparison with NumPy.",
    "coverage": "Ask a coverage.py database which test runs which lines.",
    "defects": "Match failures with known defects, group them, and learn new ones.",
    "duplicates": "Find duplicate tests.",
    "embed": "Embed texts as unit vectors.",
    "feedback": "Record whether test B was a good answer for test A.",
    "index": "Build, inspect, merge and check index files.",
    "mcp": "Serve these commands to a coding agent over the Model Context Protocol.",
    "models": "Install, list, locate and remove models.",
    "probe": "Show the features of the sandbox and the backends available on this machine.",
    "report": "Write an HTML report on a suite: map, duplicates, coverage gaps, failures.",
    "search": "Find the functions that best match a description.",
    "similar": "Find the tests most similar to a test or a description.",
    "tests-for": "Run every test that a change may reach, the most relevant first.",
}

# The lines of `flashwasm --help` that explain how to enable completion in a shell.
_COMPLETION = """\b
To complete commands and options with the Tab key, add one line to a file:
  ~/.bashrc    eval "$(_FLASHWASM_COMPLETE=bash_source flashwasm)"
  ~/.zshrc     eval "$(_FLASHWASM_COMPLETE=zsh_source flashwasm)"
  ~/.config/fish/completions/flashwasm.fish
               _FLASHWASM_COMPLETE=fish_source flashwasm | source
"""

# Number of new objects after which Python looks for reference cycles. A command makes hundreds of
# thousands of objects that live until it ends. With Python's default of 700, the search for cycles
# takes a tenth of the command's time.
_COLLECT_AFTER = 100_000
# Maximum number of characters of a text that an error message quotes.
_SHOWN = 80

# Advice that the message about an OSError ends with, by errno.
_REMEDIES = {
    errno.ENOENT: "correct the path",
    errno.ENOTDIR: "correct the path",
    errno.EISDIR: "give a file",
    errno.EACCES: "give a path that you may use, or change its permissions",
    errno.EPERM: "give a path that you may use, or change its permissions",
    errno.EROFS: "give a path on a writable file system",
    errno.ENOSPC: "free some disk space, or give a path on another disk",
    errno.EDQUOT: "free some disk space, or give a path on another disk",
}


class BadInput(click.ClickException):
    """An error of the library or the operating system, shown as one line on stderr."""

    exit_code = 2

    def __init__(self, error: Exception) -> None:
        message = " ".join(str(error).split()) or type(error).__name__
        remedy = _REMEDIES.get(error.errno or 0) if isinstance(error, OSError) else None
        super().__init__(f"{message}; {remedy}" if remedy else message)


class ErrorsInOneLine(click.Group):
    """A group that shows every error of the library or the operating system as one line."""

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the arguments; exit quietly if interrupted, or if no one reads the help."""
        try:
            with without_broken_pipes():
                return super().make_context(*args, **extra)
        except KeyboardInterrupt:
            _interrupted()

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; report an error of the library or the system in one line, status 2."""
        warnings.showwarning = _WarningLines().show
        gc.set_threshold(_COLLECT_AFTER)
        for stream in (sys.stdout, sys.stderr):
            # A file name may contain characters that the terminal cannot show.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            with without_broken_pipes(ctx):
                return super().invoke(ctx)
        except click.UsageError as error:
            better = explained(error)
            if better is None:
                raise
            raise better from error
        except (FlashWasmError, OSError) as error:
            raise BadInput(error) from error
        except UnicodeEncodeError as error:
            # An argument or a file name is not in the terminal's encoding.
            message = f"not valid Unicode: {error.object[:_SHOWN]!r}; expected a name in UTF-8"
            raise BadInput(ShapeError(message)) from error
        except KeyboardInterrupt:
            _interrupted()


class LazyGroup(ErrorsInOneLine):
    """A group that imports a command only when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, without importing the commands."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command, and return it."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"flashwasm.cli.{name}"), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and lines of COMMANDS."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the first argument names; name the nearest one if there is none."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], COMMANDS, n=1)
            if near and "Did you mean" not in error.message:
                message = f"{error.message} Did you mean {near[0]!r}?"
                raise click.UsageError(message, ctx) from error
            raise

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the completions of an incomplete word, without importing a command."""
        items = COMMANDS.items()
        found = [
            CompletionItem(name, help=line) for name, line in items if name.startswith(incomplete)
        ]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]


def _interrupted() -> NoReturn:
    """Exit with the status that shells expect of an interrupted command."""
    click.echo("interrupted", err=True)
    sys.exit(INTERRUPTED)


class _WarningLines:
    """Warnings as lines on stderr. Of the cache files that cannot be written, one is named."""

    def __init__(self) -> None:
        self._cache_is_writable = True

    def show(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Show a warning as one line, without the source line that raised it."""
        del filename, lineno, file, line
        if issubclass(category, UnwritableCacheWarning):
            if not self._cache_is_writable:
                return
            self._cache_is_writable = False
        click.echo(f"warning: {message}", err=True)


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Each command's help has an example: flashwasm COMMAND --help\n\n" + _COMPLETION,
)
@click.version_option(__version__, prog_name="flashwasm")
@click.option(
    "--config",
    "file",
    metavar="FILE",
    type=ExistingPath(dir_okay=False),
    help="Read default values of options from [tool.flashwasm] in this TOML file.  "
    "[default: pyproject.toml in this folder or the nearest folder above]",
)
@click.option("--no-config", is_flag=True, help="Do not read a settings file.")
@click.pass_context
def main(ctx: click.Context, file: Path | None, *, no_config: bool) -> None:
    """Exact attention and vector kernels in WebAssembly SIMD.

    Exit status: 0 on success, 1 if nothing was found, 2 on bad usage or bad input. The commands
    that look for problems (duplicates, coverage gap, defects match, defects cluster) exit with 0 if
    they find none and with 1 if they find some.

    \b
    Example:
      flashwasm similar tests -q "a user logs in with a wrong password"
    """
    if file is not None and no_config:
        raise click.UsageError("--config and --no-config exclude each other; give one of them")
    found = None if no_config else (file or nearest_settings())
    settings = None if found is None else read_settings(found)
    if file is not None and settings is None:
        raise ShapeError(
            f"--config: {file} has no table [tool.flashwasm]; add it, or give no --config"
        )
    if found is not None and settings is not None:
        ctx.default_map = command_defaults(settings, found, main, COMMANDS, ctx.invoked_subcommand)
