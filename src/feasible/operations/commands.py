"""The room's own commands, brought in by the entry points `feasible.commands`.

jobshop train: the packaged dispatcher can be trained again from nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

jobshop = typer.Typer(
    name="jobshop",
    no_args_is_help=True,
    help="Train the learned dispatcher of jobshop-rl-cp.",
)


@jobshop.callback()
def main() -> None:
    """Train the learned dispatcher of jobshop-rl-cp."""


@jobshop.command()
def train(
    output: Annotated[Path, typer.Argument(help="The weights: a file that ends in .safetensors.")],
    folder: Annotated[
        Path | None,
        typer.Option("--folder", help="Of the checkpoints; default: the output's name."),
    ] = None,
    shops: Annotated[
        list[Path] | None,
        typer.Option("--shop", help="A file with a training shop; may be given several times."),
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", help="Jobs of random training shops.")] = 10,
    machines: Annotated[int, typer.Option("--machines", help="Machines of these.")] = 8,
    count: Annotated[int, typer.Option("--count", help="Number of these.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="Of shops, weights and draws.")] = 0,
    updates: Annotated[int | None, typer.Option("--updates", help="Outer updates.")] = None,
    episodes: Annotated[int | None, typer.Option("--episodes", help="Episodes an update.")] = None,
    work: Annotated[
        float | None, typer.Option("--work", help="Deterministic time of a completion.")
    ] = None,
    epochs: Annotated[int | None, typer.Option("--epochs", help="Passes of an update.")] = None,
    minibatches: Annotated[
        int | None, typer.Option("--minibatches", help="Parts of the samples in a pass.")
    ] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Adam's step size.")] = None,
) -> None:
    """Train on shops of yours or on random ones. A training that was stopped, or killed, goes on
    where the same command is given again, and ends with the same weights.
    """
    from ..core.errors import ArgumentError
    from .documents import read_shop
    from .jobshop_rl_cp import LearnedDispatcher, TrainingSettings, TrainingState, training_shops

    if output.suffix != ".safetensors":
        raise ArgumentError(
            f"output={str(output)!r:.80}: expected a name that ends in .safetensors"
        )
    given = {
        **{"updates": updates, "episodes": episodes, "work": work},
        **{"epochs": epochs, "minibatches": minibatches, "rate": rate},
    }
    settings = TrainingSettings(**{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    own = [read_shop(path) for path in shops or ()]
    own = own or training_shops(jobs, machines, count, seed)

    def told(state: TrainingState) -> None:
        typer.echo(
            f"update {state.done} of {settings.updates}: mean makespan {state.sampled[-1]:.1f}, "
            f"completed by CP-SAT {state.completed[-1]:.1f}"
        )

    agent = LearnedDispatcher(seed)
    agent.fit(own, settings, folder or output.with_suffix(""), told)
    typer.echo(f"written: {agent.save(output)}")
