"""Training of a prior-fitted network on its prior. A training can be stopped at any time and
resumed.

Loss: negative log density under the bars, averaged over query points. AdamW, gradient norm clipped
at 1, warm-up, a constant rate, and a cosine tail; an exponential average of the weights is what
gets exported. Every step draws from a stream of its own (seed, step).
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file

from ...core.errors import ArgumentError, CheckpointError
from .bars import Bars
from .network import WEIGHTS, Network, Shape, write
from .prior import Prior

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

SIZES = (2, 3, 5, 8, 12, 17, 25, 36, 52, 75, 108, 150, 210, 300)
"""Sizes of context: a geometric grid, so that a compiled network meets few shapes."""
NOISY = 0.1
"""Variance of the noise at which the model card compares once more."""


@dataclass(frozen=True)
class Recipe:
    """Settings of a training.

    Attributes:
        shape: Size of the network.
        prior: What it learns from.
        steps: How long it lasts; None: `minutes` of work.
        minutes: See `steps`; exactly one of them is given.
        seed: Of everything random.
        tokens: Points per step, context and queries together, about.
        queries: Points of each function that are to be predicted.
        rate: Learning rate.
        warmup: Steps in which it rises.
        tail: Progress, from 0 to 1, at which its cosine tail begins.
        average: Share of the averaged weights that each step keeps.
        decay: Weight decay.
        draws: Values of the prior from which the borders of the bars are taken.
        compiled: Compile the network with torch.compile: needs a C++ compiler, and pays off after
            some minutes.
    """

    shape: Shape = field(default_factory=Shape)
    prior: Prior = field(default_factory=Prior)
    steps: int | None = None
    minutes: float | None = None
    seed: int = 0
    tokens: int = 2500
    queries: int = 64
    rate: float = 1e-3
    warmup: int = 300
    tail: float = 0.4
    average: float = 0.999
    decay: float = 0.01
    draws: int = 100_000
    compiled: bool = False


@dataclass(slots=True)
class Training:
    """A training under way.

    Attributes:
        recipe: How it is done.
        network: What is trained.
        averaged: The average of its weights, which is what gets exported.
        bars: The bars of its answers.
        optimizer: AdamW.
        step: Steps so far.
        seconds: Of work so far.
        log: A report for each checkpoint.
    """

    recipe: Recipe
    network: Network
    averaged: Network
    bars: Bars
    optimizer: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0
    log: list[dict[str, Any]] = field(default_factory=list)

    @property
    def progress(self) -> float:
        """Share of the training that is done."""
        r = self.recipe
        return (
            self.step / r.steps if r.steps is not None else self.seconds / (60 * (r.minutes or 1.0))
        )


def begin(recipe: Recipe, bars: Bars | None = None) -> Training:
    """A training at step 0. The global random state of torch is left as it was.

    Args:
        recipe: How to train.
        bars: None: the prior's own.

    Raises:
        ArgumentError: Both or none of steps and minutes are given.
    """
    if (recipe.steps is None) == (recipe.minutes is None):
        raise ArgumentError(
            f"steps={recipe.steps}, minutes={recipe.minutes}: expected exactly one of them"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        network, averaged = Network(recipe.shape), Network(recipe.shape)
    averaged.load_state_dict(network.state_dict())
    if bars is None:
        bars = Bars(
            borders(
                recipe.prior, recipe.shape, torch.Generator().manual_seed(recipe.seed), recipe.draws
            )
        )
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.rate, weight_decay=recipe.decay, fused=True
    )
    return Training(recipe, network, averaged, bars, optimizer)


def borders(
    prior: Prior, shape: Shape, generator: torch.Generator, draws: int = 100_000
) -> Float[Tensor, " K1"]:
    """Borders with equal mass under a mixture: 2/3 the prior's standardised values, 1/3 uniform on
    [-4, 4], where improvements are looked for. The outermost borders are moved out by 0.5.

    Args:
        prior: The prior.
        shape: Size of the network.
        generator: Of the draws.
        draws: Values of the prior.

    Returns:
        (K + 1,) borders.
    """
    found: list[Tensor] = []
    q = 50
    for i in range(draws // (64 * q) + 1):
        n = SIZES[2 + i % (len(SIZES) - 4)]
        n = min(n, shape.rows)
        found.append(prior.sample(64, n, q, generator).y_query.flatten())
    values = torch.cat(found)[:draws].double().clamp(-8, 8)
    even = torch.linspace(-4, 4, len(values) // 2, dtype=torch.float64)
    mixed = torch.cat([values, even]).sort().values
    at = (
        (torch.linspace(0, 1, shape.bars + 1, dtype=torch.float64) * (len(mixed) - 1))
        .round()
        .long()
    )
    b = mixed[at]
    b[0] -= 0.5
    b[-1] += 0.5
    return b.float()


def rate(training: Training) -> float:
    """Learning rate of the next step."""
    r, done = training.recipe, min(training.progress, 1.0)
    falling = (
        1.0 if done < r.tail else 0.5 * (1 + math.cos(math.pi * (done - r.tail) / (1 - r.tail)))
    )
    return r.rate * min((training.step + 1) / r.warmup, 1.0) * max(falling, 1e-3)


def advance(training: Training) -> float:
    """One step; returns its loss."""
    r = training.recipe
    generator = torch.Generator().manual_seed(r.seed * 1_000_003 + training.step + 1)
    sizes = [s for s in SIZES if s <= r.shape.rows]
    n = sizes[int(torch.randint(len(sizes), (1,), generator=generator))]
    b = max(8, round(r.tokens / (n + r.queries) / 8) * 8)
    batch = r.prior.sample(b, n, r.queries, generator)
    logits = training.network(batch.x, batch.d, batch.y, batch.x_query)
    loss = training.bars.nll(logits, batch.y_query.clamp(-10, 10)).mean()
    for group in training.optimizer.param_groups:
        group["lr"] = rate(training)
    training.optimizer.zero_grad(set_to_none=True)
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(training.network.parameters(), 1.0)
    if torch.isfinite(norm):
        training.optimizer.step()
        keep = min(r.average, (training.step + 1) / (training.step + 10))
        with torch.no_grad():
            torch._foreach_lerp_(
                list(training.averaged.parameters()), list(training.network.parameters()), 1 - keep
            )
    training.step += 1
    return float(loss.detach())


def examine(
    network: Network,
    bars: Bars,
    prior: Prior,
    sizes: tuple[int, ...] = (2, 5, 10, 30, 100, 300),
    functions: int = 48,
    queries: int = 50,
    seed: int = 99_991,
) -> dict[str, dict[str, float]]:
    """Loss on functions never trained on, beside the Gaussian process with its true
    hyperparameters.

    Args:
        network: The network.
        bars: Its bars.
        prior: Where the functions come from.
        sizes: Sizes of context; those that the network does not take are left out.
        functions: Functions for each.
        queries: Points of each where it is predicted.
        seed: Of the draws.

    Returns:
        By size of context: "nll", "oracle", their difference "gap", and "mean_r", the correlation
        of predicted and exact means over the functions without a skewed output.
    """
    found = {}
    for n in sizes:
        if n > network.shape.rows:
            continue
        batch = prior.sample(
            functions, n, queries, torch.Generator().manual_seed(seed + n), oracle=True
        )
        assert batch.oracle is not None
        assert batch.oracle_mean is not None
        with torch.no_grad():
            logits = network(batch.x, batch.d, batch.y, batch.x_query)
            y = batch.y_query.clamp(-10, 10)
            loss = bars.nll(logits, y)
            centre = (torch.softmax(logits, -1) * (bars.borders[1:] + bars.borders[:-1]) / 2).sum(
                -1
            )
            known = ~batch.oracle_mean.isnan()
            r = torch.corrcoef(
                torch.stack([centre[known], batch.oracle_mean[known].clamp(-10, 10)])
            )[0, 1]
        found[str(n)] = {
            "nll": float(loss.mean()),
            "oracle": float(batch.oracle.mean()),
            "gap": float((loss - batch.oracle).mean()),
            "mean_r": float(r),
        }
    return found


def train(
    recipe: Recipe,
    folder: str | Path | None = None,
    *,
    resume: bool = False,
    every: float = 240.0,
    say: Callable[[str], None] | None = None,
) -> Training:
    """Train to the end.

    Args:
        recipe: How to train.
        folder: Where a checkpoint is written; None: nowhere.
        resume: Go on from that checkpoint.
        every: Seconds between checkpoints.
        say: Told how it goes.
    """
    training = load(Path(folder), recipe) if resume and folder is not None else begin(recipe)
    if recipe.compiled:
        for layer in training.network.layers:
            layer.compile(dynamic=True)
    shown, first, losses, began = time.perf_counter(), training.step, [], training.seconds
    while training.progress < 1.0:
        t = time.perf_counter()
        losses.append(advance(training))
        training.seconds += time.perf_counter() - t
        if time.perf_counter() - shown > every or training.progress >= 1.0:
            held_out = examine(training.averaged, training.bars, recipe.prior)
            report = {
                "step": training.step,
                "seconds": round(training.seconds, 1),
                "loss": sum(losses) / len(losses),
                "rate": rate(training),
                "steps_per_second": round(
                    (training.step - first) / max(training.seconds - began, 1e-9), 2
                ),
                "held_out": held_out,
            }
            training.log.append(report)
            losses, first, began, shown = [], training.step, training.seconds, time.perf_counter()
            if folder is not None:
                save(training, Path(folder))
            if say is not None:
                gaps = ", ".join(
                    f"n={n} {v['nll']:.3f}/{v['oracle']:.3f} r={v['mean_r']:.3f}"
                    for n, v in held_out.items()
                )
                say(
                    f"step {training.step} {training.seconds / 60:.1f} min  "
                    f"{report['steps_per_second']}/s  loss {report['loss']:.4f}  {gaps}"
                )
    return training


def save(training: Training, folder: Path) -> None:
    """Write training.safetensors and training.json into a folder, each in one go."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {"borders": training.bars.borders.clone()}
    for part, network in (("network", training.network), ("averaged", training.averaged)):
        tensors |= {f"{part}.{k}": v.detach().clone() for k, v in network.state_dict().items()}
    for name, p in training.network.named_parameters():
        moments = training.optimizer.state.get(p, {})
        tensors |= {f"adam.{name}.{k}": v.detach().clone() for k, v in moments.items()}
    note = {
        "step": training.step,
        "seconds": training.seconds,
        "recipe": asdict(training.recipe),
        "log": training.log,
    }
    save_file(tensors, folder / "training.safetensors.part", {"training": json.dumps(note)})
    (folder / "training.safetensors.part").replace(folder / "training.safetensors")
    (folder / "training.json").write_text(json.dumps(note, indent=1) + "\n")


def load(folder: Path, recipe: Recipe | None = None) -> Training:
    """Read what `save` wrote.

    Args:
        folder: Where it is.
        recipe: How to go on (its length may differ); None: as it was.

    Raises:
        CheckpointError: It is no training, or of another network or prior.
    """
    from safetensors import SafetensorError, safe_open

    file = folder / "training.safetensors"
    try:
        with safe_open(file, "pt") as opened:
            note = json.loads(opened.metadata()["training"])
        tensors = load_file(file)
        stored = Recipe(
            **note["recipe"]
            | {"shape": Shape(**note["recipe"]["shape"]), "prior": Prior(**note["recipe"]["prior"])}
        )
        recipe = recipe or stored
        if recipe.shape != stored.shape or recipe.prior != stored.prior:
            raise CheckpointError(f"{file}: it is a training of another network or prior")
        training = begin(replace(recipe, seed=stored.seed), Bars(tensors["borders"]))
        for part, network in (("network", training.network), ("averaged", training.averaged)):
            network.load_state_dict(
                {
                    k.removeprefix(f"{part}."): v
                    for k, v in tensors.items()
                    if k.startswith(f"{part}.")
                }
            )
        for name, p in training.network.named_parameters():
            prefix = f"adam.{name}."
            training.optimizer.state[p] = {
                k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)
            }
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise CheckpointError(
            f"{file}: not a training of a prior-fitted network ({type(error).__name__}: {error})"
        ) from None
    training.step, training.seconds, training.log = note["step"], note["seconds"], note["log"]
    return training


def export(folder: str | Path, to: str | Path | None = None, name: str = "small") -> Path:
    """Write the averaged weights of a training's last checkpoint as pfn-<name>.safetensors with
    JSON, and the model card pfn.md. The training may go on meanwhile.

    Args:
        folder: Of the checkpoint.
        to: A folder; None: the package's own.
        name: Of the network.

    Returns:
        The path of the weights.
    """
    training = load(Path(folder))
    target = WEIGHTS if to is None else Path(to)
    last = training.log[-1] if training.log else {}
    note = {
        "name": name,
        "steps": training.step,
        "minutes": round(training.seconds / 60, 1),
        "progress": round(min(training.progress, 1.0), 3),
        "recipe": asdict(training.recipe),
        "held_out": last.get("held_out", {}),
    }
    file = write(target / f"pfn-{name}.safetensors", training.averaged, training.bars, note)
    (target / "pfn.md").write_text(card(training, name, file.stat().st_size))
    return file


def card(training: Training, name: str, size: int) -> str:
    """The model card: what the network is, how it was trained, and how far it is from the exact
    Gaussian process.
    """
    r, s = training.recipe, training.recipe.shape
    parameters = sum(p.numel() for p in training.averaged.parameters())
    found = training.log[-1]["held_out"] if training.log else {}
    loud = examine(
        training.averaged, training.bars, replace(r.prior, noise=NOISY), sizes=(10, 30, 100)
    )
    noisy = ", ".join(f"{v['gap']:.3f} at {n} observations" for n, v in loud.items())
    rows = [
        f"| {n} | {v['nll']:.3f} | {v['oracle']:.3f} | {v['gap']:.3f} | {v['mean_r']:.3f} |"
        for n, v in found.items()
    ]
    return "\n".join(
        [
            f"# Prior-fitted network `{name}`",
            "",
            f"A transformer with {parameters:,} parameters ({size / 1e6:.2f} MB): width {s.width}, "
            f"{s.layers} layers, {s.heads} heads, {s.bars} bars; "
            f"at most {s.d_max} inputs and {s.rows} observations. It predicts in one pass what a "
            "Gaussian process would predict after fitting.",
            "",
            "Method: Müller et al. (2022, PFNs4BO 2023); Yu, Picard and Ahmed (arXiv 2404.04495). "
            "Trained from nothing by `feasible pfn train`; "
            "no weights of others were used, and no data but draws from the prior.",
            "",
            f"- Training: {training.step:,} steps, {training.seconds / 60:.0f} minutes on one CPU "
            f"core, seed {r.seed}, AdamW with rate {r.rate:g}, "
            f"warm-up {r.warmup} steps, cosine tail from {r.tail:.0%} on, average of weights "
            f"{r.average}; about {r.tokens} points per step, "
            f"{r.queries} of each function to be predicted; progress "
            f"{min(training.progress, 1.0):.0%}.",
            "- Prior: Gaussian processes with Matérn-3/2, Matérn-5/2 or squared-exponential "
            "kernels, one lengthscale per input; mostly little noise; "
            "linear and quadratic trends; warped and idle inputs; skewed outputs. Contexts: "
            "uniform, or gathered around a centre.",
            "- Borders of the bars: equal mass under 2/3 of the prior's values and 1/3 of a "
            "uniform density on [-4, 4].",
            "",
            "Negative log density on functions never trained on, beside the Gaussian process with "
            "its true hyperparameters (which no method knows), and "
            "correlation of the predicted with the exact mean:",
            "",
            "| observations | network | exact process | gap | correlation of means |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
            "The gap depends on the noise of the prior, which is next to nothing for most "
            "functions: there the exact process grows sharper with every "
            "observation, and the network does not follow as fast. With a noise variance of "
            f"{NOISY:g} of the kernel's the gap is {noisy}.",
            "",
            "Not for: more inputs or observations than above, categories, outputs with jumps, "
            "noise above a tenth of the spread. "
            "Probabilities are those of the prior; they are not calibrated on your function.",
            "",
        ]
    )
