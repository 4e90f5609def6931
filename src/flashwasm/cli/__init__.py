"""The command line: each command parses, calls the library, and prints."""

from __future__ import annotations

import gc
import sys
import warnings
from importlib import import_module
from io import TextIOWrapper
from typing import TYPE_CHECKING, NoReturn

import click

from flashwasm import __version__
from flashwasm.errors import FlashWasmError, ShapeError

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["main"]

# Name of each command, and its line in `flashwasm --help`; the command `x-y` is the attribute `x_y`
# of the module flashwasm.cli.x_y. The lines are written here too, so that the help imports none.
COMMANDS = {
    "adapt": "Learn from feedback, where that is shown to help.",
    "bench": "Measure speed, memory and quality, beside NumPy and other libraries.",
    "coverage": "Ask a coverage.py database which test runs what.",
    "defects": "Match failures with known defects, group them, and learn new ones.",
    "duplicates": "Find tests that do the same.",
    "embed": "Embed texts as unit vectors.",
    "index": "Keep suites, coverage, failures and vectors in files, and check those.",
    "feedback": "Say whether test B was a good answer for test A.",
    "models": "Install, list, locate and remove models.",
    "probe": "Say what the sandbox supports on this machine.",
    "search": "Find the functions that words describe.",
    "similar": "Find the tests that resemble a test or a description.",
    "tests-for": "Run the tests that a change calls for, the most relevant first.",
}

_INTERRUPTED = 130
# New objects after which cycles are looked for. A command makes hundreds of thousands that stay to
# its end, and with Python's 700 the looking takes a tenth of its time.
_COLLECT_AFTER = 100_000
# Characters of what is refused that its line shows.
_SHOWN = 80


class BadInput(click.ClickException):
    """What the library refused, as one line on stderr."""

    exit_code = 2

    def __init__(self, error: Exception) -> None:
        super().__init__(" ".join(str(error).split()) or type(error).__name__)


class LazyGroup(click.Group):
    """A group that imports a command when it is called, and reports errors in one place."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands' names without importing them."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command = getattr(import_module(f"flashwasm.cli.{name}"), name)
        assert isinstance(command, click.Command)  # noqa: S101 - a test walks the table.
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the table's lines."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; what the library or the system refuses becomes one line and status 2."""
        warnings.showwarning = _show_warning
        gc.set_threshold(_COLLECT_AFTER)
        for stream in (sys.stdout, sys.stderr):
            # A file's name need not be text that the terminal can show.
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever reads the output has enough; click knows what to do.
            raise
        except (FlashWasmError, OSError) as error:
            raise BadInput(error) from error
        except UnicodeEncodeError as error:
            # An argument or a file's name in another encoding than the terminal's.
            message = f"not valid Unicode: {error.object[:_SHOWN]!r}"
            raise BadInput(ShapeError(message)) from error
        except KeyboardInterrupt:
            _interrupted()


def _interrupted() -> NoReturn:
    """End as a shell expects of a command that was interrupted."""
    click.echo("interrupted", err=True)
    sys.exit(_INTERRUPTED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    click.echo(f"warning: {message}", err=True)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="flashwasm")
def main() -> None:
    """Exact attention and vector kernels in WebAssembly SIMD.

    Exit status: 0 done, 1 nothing found, 2 bad usage or bad input.
    """
