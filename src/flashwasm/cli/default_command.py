"""Groups of commands, one of which runs if the arguments do not begin with a command's name."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

__all__ = ["GroupWithDefault"]


class GroupWithDefault(click.Group):
    """A group that passes its arguments to a default command if they do not begin with a command.

    Attributes
    ----------
    default_command : str
        Name of the default command.
    """

    default_command: str

    def takes_default(self, ctx: click.Context, args: list[str]) -> bool:
        """Return True if the arguments are those of the default command."""
        return bool(args) and args[0] not in {*self.commands, *ctx.help_option_names}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the default command before its arguments."""
        if self.takes_default(ctx, args):
            args = [self.default_command, *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Return the commands and options, with the options of the default command."""
        found = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            inner = self.commands[self.default_command]
            found += inner.shell_complete(click.Context(inner, parent=ctx), incomplete)
        # Both have --help.
        return list({item.value: item for item in found}.values())
