"""The claim of arXiv 2310.05898: Lion's decay is a constraint, and each kappa solves its
composite problem.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import minimize

from ...api import solve
from ...lab.claim import (
    Claim,
    Experiment,
    Part,
    by_method,
    last_metric,
    median,
    median_difference,
    sampled,
    share,
)
from ...lab.trials import Race
from ..instances.small import digits_mlp, mlp
from ..problem import TrainingProblem
from .kappas import kappa_of
from .native_numpy import lion_k_minimize

D = 50
KAPPAS = (
    "l1",
    "lp[p=1.5]",
    "l2",
    "soft[e=0.5]",
    "topk[k=10]",
    "huber[e=0.5]",
    "quadratic",
    "entropy[a=0.5]",
)
REPORTED = ("linf", "relativistic[a=0.5]", "log[a=0.5]")
STAGES = (1e-2, 1e-3, 1e-4)
DECAYS = (0.1, 1.0, 3.0, 10.0)


def digits() -> TrainingProblem:
    """The network: digits, MLP 64-128-10, batch 64, 20 epochs."""
    problem = digits_mlp(noise=0.0, batch_size=64)
    problem.model, problem.name, problem.steps = (
        lambda: mlp(64, 128, 10),
        "digits-mlp-128",
        20 * (len(problem.train) // 64),
    )
    return problem


def quadratic(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Q (d, d) and c (d,) of f(x) = (x - c)'Q(x - c)/2."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(D, D))
    return a.T @ a / D + 0.1 * np.eye(D), 3 * rng.normal(size=D)


def reference(q: np.ndarray, c: np.ndarray, name: str) -> np.ndarray:
    """The minimiser at lam = 1: scipy where the set is a box, else accelerated projected
    gradients."""
    kappa = kappa_of(name)

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        z = torch.from_numpy(np.clip(x, -1, 1) if kappa.name != "quadratic" else x)
        return float((x - c) @ q @ (x - c) / 2 + kappa.finite(z)), q @ (x - c) + kappa.conj_subgrad(
            z
        ).numpy()

    options = {"maxiter": 50_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10}
    if kappa.name == "soft":  # x = u - v with u, v >= 0
        edge: float = kappa.e  # type: ignore[attr-defined]
        split = minimize(
            lambda w: (
                float((r := w[:D] - w[D:] - c) @ q @ r / 2 + edge * w.sum()),
                np.concatenate([q @ r, -q @ r]) + edge,
            ),
            np.zeros(2 * D),
            jac=True,
            method="L-BFGS-B",
            bounds=[(0, 1)] * (2 * D),
            options=options,
        )
        return split.x[:D] - split.x[D:]
    if not kappa.couples:
        side = {"quadratic": None, "l1": 1.0, "huber": 1.0}.get(kappa.name, 1 - 1e-12)
        return minimize(
            value,
            np.zeros(D),
            jac=True,
            method="L-BFGS-B",
            bounds=[(None if side is None else -side, side)] * D,
            options=options,
        ).x
    step, x, y, t = 1 / np.linalg.eigvalsh(q)[-1], np.zeros(D), np.zeros(D), 1.0
    for _ in range(3000):
        new = kappa.project(torch.from_numpy(y - step * q @ (y - c))).numpy()
        after = (1 + np.sqrt(1 + 4 * t * t)) / 2
        y, x, t = new + (t - 1) / after * (new - x), new, after
    return x


def composite(name: str, seed: int, steps: int) -> tuple[float, float]:
    """(F(x_T) - F*) / (F(0) - F*), and the violation times lam, after three stages of `steps`
    steps.
    """
    q, c = quadratic(seed)
    kappa = kappa_of(name)

    def f(x: np.ndarray) -> float:
        return float((x - c) @ q @ (x - c) / 2)

    best = reference(q, c, name)
    least = f(best) + float(kappa.conjugate(torch.from_numpy(best)))
    found = lion_k_minimize(
        f,
        lambda x: q @ (x - c),
        np.zeros(D),
        1.0,
        kappa,
        np.repeat(STAGES, steps),
        3 * steps,
        check_every=3 * steps,
    )
    return (found.value - least) / (f(np.zeros(D)) - least), found.violation


def rival(
    seed: int, steps: int, make: Callable[[Any], Any], decoupled: float = 0.0
) -> tuple[float, float]:
    """Largest abs x, and f's excess over the box's optimum as a share, of a torch optimiser after
    the same three stages.
    """
    q, c = quadratic(seed)
    best = reference(q, c, "l1")
    x, rows, centre = (
        torch.nn.Parameter(torch.zeros(D, dtype=torch.float64)),
        torch.from_numpy(q),
        torch.from_numpy(c),
    )
    optimizer = make([x])
    for rate in STAGES:
        optimizer.param_groups[0]["lr"] = rate
        for _ in range(steps):
            x.grad = rows @ (x.detach() - centre)
            with torch.no_grad():
                x.mul_(1 - rate * decoupled)
            optimizer.step()
    end = x.detach().numpy()
    at_end, at_best, at_zero = (float((p - c) @ q @ (p - c) / 2) for p in (end, best, np.zeros(D)))
    return float(np.abs(end).max()), (at_end - at_best) / (at_zero - at_best)


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """The digits network, by Lion at four decays and by AdamW, constant rates of 1e-3."""
    methods = {
        f"lion, decay {lam:g}": "recipe[optimizer=lion,schedule=constant,lr=1e-3,"
        f"weight_decay={lam}]"
        for lam in DECAYS
    }
    methods |= {"adamw": "recipe[optimizer=adamw,schedule=constant,lr=1e-3]"}
    problem = digits()
    smoke = scale == "smoke"
    return [
        Experiment(
            "digits",
            [problem],
            methods,
            {"steps": 40 if smoke else problem.steps},
            tuple(seeds)[:2] if smoke else seeds,
        )
    ]


def check(races: Mapping[str, Race]) -> list[Part]:
    """Accuracy of Lion against AdamW's."""
    error = last_metric("error")
    accuracy = by_method(races["digits"], lambda t: 1 - error(t), failed=0.0)
    return [
        sampled(
            "accuracy on digits, Lion at decay 1 minus AdamW, medians",
            accuracy,
            median_difference("lion, decay 1", "adamw"),
            ">= -0.02",
        ),
        *(
            sampled(f"accuracy on digits, {name}, median", accuracy, median(name))
            for name in accuracy
        ),
    ]


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Composite quadratics, what other optimisers' limits do, and the largest weight of the
    network.
    """
    smoke = scale == "smoke"
    seeds, steps = (
        (tuple(seeds)[:2], 500) if smoke else (tuple(seeds), 5000 if scale == "paper" else 1500)
    )
    parts: list[Part] = []
    record: dict[str, Any] = {}
    worst = 0.0
    for name in KAPPAS + REPORTED:
        found = [composite(name, seed, steps) for seed in seeds]
        record[name] = [excess for excess, _ in found]
        worst = max(worst, *(violation for _, violation in found))
        parts.append(
            sampled(
                f"(F(x) - F*) / (F(0) - F*) of {name}, median of composite quadratics",
                record[name],
                median("value"),
                "<= 1e-3" if name in KAPPAS else "reported",
            )
        )
    parts.append(Part("largest violation times lam of all kappas and seeds", worst, "<= 1e-6"))
    others = {
        "SGD with momentum and decoupled decay": (
            lambda ps: torch.optim.SGD(ps, 1e-2, momentum=0.9),
            1.0,
        ),
        "Adam with L2": (lambda ps: torch.optim.Adam(ps, 1e-2, weight_decay=1.0), 0.0),
        "AdamW": (lambda ps: torch.optim.AdamW(ps, 1e-2, weight_decay=1.0), 0.0),
    }
    for name, (make, decoupled) in others.items():
        found = [rival(seed, steps, make, decoupled) for seed in seeds]
        record[name] = [most for most, _ in found]
        barred = name != "AdamW"
        parts.append(
            share(
                f"share of seeds on which the limit of {name} leaves the box",
                [most > 1 + 1e-6 for most, _ in found],
                ">= 0.8" if barred else "reported",
            )
        )
        if not barred:
            parts.append(
                sampled(
                    "(f(x) - f*) / (f(0) - f*) of AdamW, median",
                    [excess for _, excess in found],
                    median("value"),
                )
            )
    boxes, laws = {}, []
    for lam in DECAYS:
        rows = [box(lam, seed, 40 if smoke else None) for seed in seeds]
        boxes[f"decay {lam:g}"] = [most for most, _ in rows]
        laws += [law for _, law in rows]
    record["largest abs weight times decay"] = boxes
    parts += [
        Part(
            "largest abs weight over what the law of phase 1 allows, all decays and seeds",
            max(laws),
            "<= 1.000001",
        ),
        Part(
            "largest abs weight times decay, decays 0.1, 1 and 3",
            max(m for lam in DECAYS[:3] for m in boxes[f"decay {lam:g}"]),
            "<= 1.000001",
        ),
        Part(
            "largest abs weight times decay, decay 10, where the weights begin outside",
            max(boxes["decay 10"]),
        ),
    ]
    return parts, record


def box(lam: float, seed: int, steps: int | None) -> tuple[float, float]:
    """Largest abs weight times lam after a run, and over the bound of phase 1: 1/lam + (1 - h
    lam)^T (largest at the start - 1/lam).
    """
    problem = digits()
    steps = problem.steps if steps is None else steps
    start, _ = problem.begin(np.random.default_rng(seed))
    result = solve(
        problem,
        f"recipe[optimizer=lion,schedule=constant,lr=1e-3,weight_decay={lam}]",
        {"steps": steps},
        seed=seed,
    )
    # a uniform start of torch's layers: the law needs the largest weight of any start,
    # 1/sqrt(fan-in)
    first = max(
        layer.in_features**-0.5 for layer in start.modules() if isinstance(layer, torch.nn.Linear)
    )
    most = max(float(w.abs().max()) for w in result.answer.weights.values())
    return most * lam, most / (1 / lam + (1 - 1e-3 * lam) ** steps * max(first - 1 / lam, 0.0))


claim = Claim(
    slug="lion-k",
    statement="Lion with decoupled decay lam minimises under abs x_i <= 1/lam: weights reach the "
    "box and stay. With another convex kappa the limit "
    "solves f(x) + kappa*(lam x)/lam; SGD with decay and Adam with L2 do not keep to the box.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="All of it but one bar: where weights begin outside the box (decay 10), the largest is "
    "2.6e-6 above what the law allows, where 1e-6 was the bar. That is the rounding of single "
    "precision: 1 - h lam = 0.99 is 0.99000001 there, over all steps of the run.",
    limits={
        "desk": "Composite quadratics in 50 dimensions (three stages of 1,500 steps) and an MLP on "
        "digits, instead of ImageNet and GPT-2. Where "
        "weights begin outside (decay 10) the box is reached as (1 - h lam)^t only, so that bar is "
        "the law's.",
        "smoke": "Two seeds, a third of the steps.",
    },
)
