"""Groups of commands that are named by a noun: the noun alone lists, as its `list` does."""

from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Callable


LIST = "list"
_HELP = frozenset({"--help", "-h"})


class Noun(TyperGroup):
    """`aios files` and `aios files --recursive` are `aios files list`, the latter with the option."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put `list` in front where no command is named."""
        unnamed = not args or (args[0].startswith("-") and args[0] not in _HELP)
        return super().parse_args(ctx, [LIST, *args] if unnamed and LIST in self.commands else args)


def noun(text: str) -> typer.Typer:
    """Return a group of commands with `text` as its help."""
    return typer.Typer(cls=Noun, help=text, no_args_is_help=True)


def alias(app: typer.Typer, name: str, of: str) -> "Callable[[Callable[..., None]], Callable[..., None]]":
    """Return a decorator that makes a function a command by a second name, which people's fingers know."""
    return app.command(name, help=f"Same as `{of}`.")
