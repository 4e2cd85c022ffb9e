"""The room's own commands, brought in by the entry points `feasible.commands`.

pfn train, pfn export: the packaged prior-fitted network can be trained again from nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

pfn = typer.Typer(
    name="pfn",
    no_args_is_help=True,
    help="Train the prior-fitted network of pfn-cei, and export its weights.",
)
Folder = Annotated[Path, typer.Argument(help="Folder of the training's checkpoints.")]


@pfn.command()
def train(
    folder: Folder,
    minutes: Annotated[
        float | None, typer.Option("--minutes", min=0.0, help="How long to train; or give --steps.")
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option(
            "--steps", min=1, help="Steps to train: the same steps and seed give the same weights."
        ),
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", help="Seed of the weights and of the draws from the prior.")
    ] = 0,
    every: Annotated[float, typer.Option("--every", help="Seconds between checkpoints.")] = 240.0,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the folder's checkpoint.")
    ] = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network: needs a C++ compiler.")
    ] = False,
    small: Annotated[
        bool, typer.Option("--tiny", help="A tiny network of at most 4 inputs, to try the command.")
    ] = False,
) -> None:
    """Train on draws from the prior; stop it at any time and go on with --resume."""
    from ..core.errors import ArgumentError
    from .pfn_cbo.network import Shape
    from .pfn_cbo.prior import Prior
    from .pfn_cbo.train import Recipe, load, train as run

    if resume:
        from dataclasses import replace

        recipe = load(folder).recipe
        if minutes is not None or steps is not None:
            recipe = replace(recipe, minutes=minutes, steps=steps)
        recipe = replace(recipe, compiled=compiled)
    else:
        if (folder / "training.safetensors").exists():
            raise ArgumentError(
                f"{folder}: it holds a training already; go on with --resume, or name another "
                "folder"
            )
        if minutes is None and steps is None:
            minutes = 100.0
        shape = (
            Shape(d_max=4, rows=40, width=32, layers=2, heads=2, hidden=64, bars=40)
            if small
            else Shape()
        )
        recipe = Recipe(
            shape=shape,
            prior=Prior(d_max=shape.d_max),
            steps=steps,
            minutes=minutes,
            seed=seed,
            compiled=compiled,
            draws=5_000 if small else 100_000,
        )
    done = run(recipe, folder, resume=resume, every=every, say=typer.echo)
    typer.echo(
        f"trained {done.step:,} steps in {done.seconds / 60:.1f} minutes; export the weights with  "
        f"feasible pfn export {folder}"
    )


@pfn.command()
def export(
    folder: Folder,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for the weights.", show_default="the package's own"),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Name of the network.")] = "small",
) -> None:
    """Write the averaged weights of the last checkpoint as safetensors, with their sha256 and a
    model card.
    """
    from .pfn_cbo.train import export as write

    typer.echo(f"wrote {write(folder, to, name)}")
