"""The room's own commands, brought in by the entry points `feasible.commands`.

moe train: a small mixture of experts, trained from nothing.
moe plan: a model's folder, compressed into a memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

moe = typer.Typer(
    name="moe", no_args_is_help=True, help="Mixtures of experts that have to fit into memory."
)


@moe.callback()
def main() -> None:
    """Mixtures of experts that have to fit into memory."""


@moe.command()
def train(
    folder: Annotated[Path, typer.Argument(help="Where the model is written; it is made.")],
    layers: Annotated[int | None, typer.Option("--layers", help="Of the model.")] = None,
    hidden: Annotated[int | None, typer.Option("--hidden", help="Width.")] = None,
    inner: Annotated[int | None, typer.Option("--inner", help="Width of an expert.")] = None,
    experts: Annotated[int | None, typer.Option("--experts", help="Of a layer.")] = None,
    top_k: Annotated[int | None, typer.Option("--top-k", help="Experts of a token.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Of training.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Texts a step.")] = None,
    length: Annotated[int | None, typer.Option("--length", help="Tokens of a text.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Of AdamW.")] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and text.")] = 0,
) -> None:
    """Train a small Mixtral on four kinds of generated text, and write it as transformers does,
    with a tokenizer and some text for calibration. A training that was stopped, or killed, goes on
    where the same command is given again, and ends with the same weights.
    """
    from .moe_inference import TinySettings, train_folder

    given = {
        **{"layers": layers, "hidden": hidden, "inner": inner, "experts": experts, "top_k": top_k},
        **{"steps": steps, "batch": batch, "length": length, "rate": rate},
    }
    settings = TinySettings(seed=seed, **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]
    typer.echo(f"written: {train_folder(folder, settings)}")


@moe.command()
def plan(
    model_dir: Annotated[Path, typer.Argument(help="A model's folder, as transformers writes it.")],
    memory: Annotated[str, typer.Option("--memory", help="Of all weights: bytes, 2.5MiB, 6GB.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="A folder; default: the model's, with -compressed."),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option("--text", help="For calibration; default: calibration.txt of the model."),
    ] = None,
    tokens: Annotated[int, typer.Option("--tokens", help="Of the text that are used.")] = 8192,
    length: Annotated[int, typer.Option("--length", help="Tokens of a sequence.")] = 64,
    fast: Annotated[
        str | None, typer.Option("--fast", help="Fast memory, where experts may lie elsewhere.")
    ] = None,
    latency: Annotated[float | None, typer.Option("--latency", help="Seconds a token.")] = None,
    bw: Annotated[float, typer.Option("--bw", help="Bytes a second from slow memory.")] = 8e9,
    flops: Annotated[float, typer.Option("--flops", help="Operations a second.")] = 5e10,
    bits: Annotated[
        str, typer.Option("--bits", help="Widths of an expert's weights, 0 for dropped.")
    ] = "0,1,2,3,4,8,16",
    quantiser: Annotated[str, typer.Option("--quantiser", help="rtn or gptq.")] = "rtn",
    group: Annotated[int, typer.Option("--group", help="Weights that share a scale.")] = 64,
) -> None:
    """Decide in how many bits each expert is kept, so that the model fits into the memory, and
    write it to a folder, which `load_moe` reads. Half of the text is for calibration, half for the
    perplexity that is printed.
    """
    from ..core.errors import ArgumentError
    from .moe_inference import Machine, compress_folder

    try:
        widths = tuple(int(b) for b in bits.split(","))
    except ValueError:
        raise ArgumentError(f"bits={bits!r:.60}: expected whole numbers, as in 2,3,4") from None
    report = compress_folder(
        model_dir,
        memory,
        output or model_dir.with_name(f"{model_dir.resolve().name}-compressed"),
        text,
        tokens,
        length,
        fast,
        latency,
        Machine(bw, flops),
        widths,
        quantiser,
        group,
    )
    for line in report.lines():
        typer.echo(line)
