"""The room's own commands, brought in by the entry points `feasible.commands`.

language train: a small policy of characters, trained from nothing.
moe train: a small mixture of experts, trained from nothing.
moe plan: a model's folder, compressed into a memory.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

language = typer.Typer(name="language", no_args_is_help=True, help="Small models of words.")


@language.callback()
def small_models() -> None:
    """Small models of words."""


@language.command("train")
def train_policy(
    kind: Annotated[str, typer.Argument(help="What it learns: sums, or orders.")],
    folder: Annotated[Path, typer.Argument(help="Where the model is written; it is made.")],
    digits: Annotated[str, typer.Option("--digits", help="Of the operands of sums.")] = "1,2",
    layers: Annotated[int | None, typer.Option("--layers", help="Of the model.")] = None,
    width: Annotated[int | None, typer.Option("--width", help="Of a layer.")] = None,
    heads: Annotated[int | None, typer.Option("--heads", help="Of attention.")] = None,
    context: Annotated[int | None, typer.Option("--context", help="Tokens at most.")] = None,
    steps: Annotated[int | None, typer.Option("--steps", help="Of training, at most.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", help="Texts a step.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Of AdamW.")] = None,
    stop: Annotated[
        float | None, typer.Option("--stop", help="Share of right drawn answers that ends it.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Of weights and texts.")] = 0,
) -> None:
    """Train a small GPT-2 of characters on worked sums, or on two orders that careless people
    answered, and write it as transformers does, with its tokenizer: a policy that rewards can make
    better. A training that was stopped, or killed, goes on where the same command is given again,
    and ends with the same weights.
    """
    from dataclasses import replace

    from ..core.checks import one_of
    from .cgpo.hackable import POLICY, order_pairs
    from .instances.addition import SUMS, sizes_of
    from .small import addition_pairs, train_folder

    one_of("kind", kind, ("sums", "orders"))
    given = {
        **{"layers": layers, "width": width, "heads": heads, "context": context, "steps": steps},
        **{"batch": batch, "rate": rate, "stop": stop},
    }
    settings = replace(
        SUMS if kind == "sums" else POLICY,
        seed=seed,
        **{k: v for k, v in given.items() if v is not None},  # type: ignore[arg-type]
    )
    if kind == "orders":
        written = train_folder(folder, settings, order_pairs)
    else:
        sizes = sizes_of(numbers_of("digits", digits), settings.context)
        hardest = max(sizes)
        learnt = addition_pairs(sizes, hardest)
        written = train_folder(folder, settings, learnt, addition_pairs((hardest,), hardest))
    typer.echo(f"written: {written}")


def numbers_of(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers with commas between."""
    from ..core.errors import ArgumentError

    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ArgumentError(f"{name}={text!r:.60}: expected whole numbers, as in 2,3,4") from None


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
    quantiser: Annotated[str, typer.Option("--quantiser", help="rtn, search or gptq.")] = "rtn",
    group: Annotated[int, typer.Option("--group", help="Weights that share a scale.")] = 64,
) -> None:
    """Decide in how many bits each expert is kept, so that the model fits into the memory, and
    write it to a folder, which `load_moe` reads. Half of the text is for calibration, half for the
    perplexity that is printed.
    """
    from .moe_inference import Machine, compress_folder

    widths = numbers_of("bits", bits)
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
