"""M-FAC: an optimiser's step against two passes over its window; growth of the static algorithm
with d and m; peers of its memory class; what the method of runs ends at (medians over seeds 0 to 2,
seed 0 at 3,000 steps).
"""

from __future__ import annotations

import math

import numpy as np

from .common import Figure, in_turns, ratio, write


def run() -> list[Figure]:
    """What the paper claims, measured."""
    import torch

    from feasible.training import MFAC, SlidingFisher, StaticFisher

    torch.manual_seed(0)
    d, m = 1_000_000, 64
    weights = [
        torch.nn.Parameter(torch.randn(n)) for n in np.diff(np.linspace(0, d, 61).astype(int))
    ]
    for p in weights:
        p.grad = torch.randn_like(p)
    optimizer = MFAC(weights, ngrads=m, momentum=0.9)
    window, v, c = torch.randn(m, d), torch.randn(d), torch.randn(m)
    for _ in range(m):
        optimizer.step()

    def passes() -> None:
        torch.mv(window, v)
        torch.mv(window.T, c)

    step, twice = in_turns(optimizer.step, passes, rounds=15)
    figures = [
        Figure(
            "step of MFAC over two passes over its window, d = 1 M in 60 tensors, m = 64",
            ratio(step, twice),
            4.0,
        )
    ]
    sliding = SlidingFisher(m, d)
    sliding.rows.copy_(window)
    sliding.gram.copy_((window @ window.T).double())
    sliding.pushed = m
    product, _ = in_turns(lambda: sliding.ihvp(v), passes, rounds=9)
    figures.append(
        Figure(
            "product F^-1 x of SlidingFisher over the same two passes",
            ratio(product, twice[:9]),
            None,
        )
    )

    def slope(sizes: list[tuple[int, int]]) -> float:
        """Of log time against the log of what changes."""
        matrices = [torch.randn(rows, columns) for rows, columns in sizes]
        times = in_turns(*(lambda g=g: StaticFisher(g) for g in matrices), rounds=5)
        at = [math.log(rows * columns) for rows, columns in sizes]
        return float(np.polyfit(at, [math.log(min(t)) for t in times], 1)[0])

    figures.append(
        Figure(
            "static algorithm: growth with d, exponent, m = 64, d = 25,000 to 400,000",
            slope([(64, d) for d in (25_000, 100_000, 400_000)]),
            1.2,
            "exponent",
        )
    )
    figures.append(
        Figure(
            "static algorithm: growth with m, exponent, d = 50,000, m = 32 to 256",
            slope([(m, 50_000) for m in (32, 64, 128, 256)]),
            2.2,
            "exponent",
        )
    )
    figures += peers() + trained()
    write("mfac", figures)
    return figures


def trained() -> list[Figure]:
    """What the method `mfac` of runs ends at, its one setting on problems of unlike scale."""
    import feasible
    from feasible.training.instances import digits_mlp
    from feasible.training.mfac.instances import rotated_regression

    figures = []
    for what, problem, steps, seeds, bar in (
        ("digits-mlp, held-out loss", digits_mlp(steps=400), 400, 3, 0.38),
        ("digits-mlp, held-out loss", digits_mlp(steps=3000), 3000, 1, 0.5),
        ("rotated-regression, loss", rotated_regression(steps=600), 600, 3, 2e-4),
    ):
        ends = [
            feasible.solve(problem, "mfac", budget={"steps": steps}, seed=seed).verdict.objective
            for seed in range(seeds)
        ]
        figures.append(Figure(f"{what} after {steps} steps", float(np.median(ends)), bar, "loss"))
    return figures


def peers() -> list[Figure]:
    """A step against Adam, SOAP and Shampoo on an MLP of 0.2 M weights."""
    import torch
    from pytorch_optimizer import SOAP, Shampoo

    from feasible.training import MFAC

    def stepper(kind: object, **settings: object) -> object:
        model = torch.nn.Sequential(
            torch.nn.Linear(256, 512), torch.nn.ReLU(), torch.nn.Linear(512, 128)
        )
        for p in model.parameters():
            p.grad = 1e-2 * torch.randn_like(p)
        optimizer = kind(model.parameters(), lr=1e-4, **settings)  # type: ignore[operator]
        for _ in range(3):
            optimizer.step()
        return optimizer.step

    steps = {
        "MFAC, m = 64": stepper(MFAC, ngrads=64),
        "torch's Adam": stepper(torch.optim.Adam),
        "pytorch-optimizer's SOAP": stepper(SOAP),
        "pytorch-optimizer's Shampoo": stepper(Shampoo),
    }
    measured = in_turns(*steps.values(), rounds=7)  # type: ignore[arg-type]
    times = dict(zip(steps, measured, strict=True))
    ours = times.pop("MFAC, m = 64")
    return [
        Figure(
            f"step of MFAC (m = 64) over that of {name}, 0.2 M weights", ratio(ours, theirs), None
        )
        for name, theirs in times.items()
    ]
