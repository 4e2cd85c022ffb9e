"""Commands that rooms and other packages bring in, by the entry points `feasible.commands`."""

from __future__ import annotations

from importlib import metadata
from typing import Any

import typer
from typer.core import TyperGroup

GROUP = "feasible.commands"


def brought_in() -> dict[str, metadata.EntryPoint]:
    """Return the entry points of commands by the command's name."""
    return {point.name: point for point in metadata.entry_points(group=GROUP)}


def load(point: metadata.EntryPoint) -> Any:
    """Return the command of an entry point, which is a Typer app or a function.

    One that cannot be imported is still there: it says why when it is called, so that neither
    `feasible --help` nor another command fails.
    """
    try:
        found = point.load()
    except Exception as error:
        found = _broken(point, error)
    parent = typer.Typer(add_completion=False, rich_markup_mode=None, callback=lambda: None)
    if isinstance(found, typer.Typer):
        parent.add_typer(found, name=point.name)
    else:
        parent.command(point.name)(found)
    group: Any = typer.main.get_command(parent)
    return group.commands[point.name]


def _broken(point: metadata.EntryPoint, error: Exception) -> Any:
    """Return a command that raises why the real one is not there."""

    def command() -> None:
        from ..core.errors import MissingExtra
        from ..core.extras import missing

        if isinstance(error, ModuleNotFoundError):
            room = (*point.module.split("."), "")[1]
            if (said := missing(error, f"command '{point.name}'", room)) is not None:
                raise said
        raise MissingExtra(
            f"command '{point.name}' ({point.value}) cannot be loaded: "
            f"{type(error).__name__}: {error}"
        )

    command.__doc__ = f"(Cannot be loaded: {type(error).__name__}.)"
    return command


class Commands(TyperGroup):
    """The commands of the house, then those that were brought in, each loaded when it is needed."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        own = super().list_commands(ctx)
        return [*own, *(name for name in brought_in() if name not in own)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command of that name, None where there is none."""
        own = super().get_command(ctx, cmd_name)
        if own is None and (point := brought_in().get(cmd_name)) is not None:
            return load(point)
        return own
