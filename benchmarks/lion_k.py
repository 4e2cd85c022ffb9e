"""A step of Lion-K against the Lions of pytorch-optimizer and lion-pytorch, of which the faster
counts: 60 tensors of float32, one thread.
"""

from __future__ import annotations

import gc

import torch

from .common import Figure, in_turns, ratio, write


def weights(
    total: int, dtype: torch.dtype = torch.float32, tensors: int = 60
) -> list[torch.nn.Parameter]:
    """Matrices of a transformer's proportions, with gradients."""
    columns = max(1, int((total / tensors / 4) ** 0.5))
    made = [
        torch.nn.Parameter(torch.randn(total // tensors // columns, columns, dtype=dtype))
        for _ in range(tensors)
    ]
    for p in made:
        p.grad = torch.randn_like(p)
    return made


def run() -> list[Figure]:
    """1 M and 25 M parameters; trajectories in float64; the state."""
    from lion_pytorch import Lion as LionPytorch
    from pytorch_optimizer import Lion as PytorchOptimizerLion

    from feasible.training import LionK

    torch.manual_seed(0)
    torch.set_num_threads(1)
    settings = {"lr": 1e-4, "betas": (0.9, 0.99), "weight_decay": 1.0}
    figures = []
    for total, rounds in ((1_000_000, 60), (25_000_000, 9)):
        params = [weights(total) for _ in range(3)]
        opts = [
            make(p, **settings)
            for make, p in zip((LionK, PytorchOptimizerLion, LionPytorch), params, strict=True)
        ]
        ours, theirs, others = in_turns(*(opt.step for opt in opts), rounds=rounds)
        against = {"pytorch-optimizer": ratio(ours, theirs), "lion-pytorch": ratio(ours, others)}
        figures.append(
            Figure(
                f"LionK over the faster of the other Lions, step time, {total // 1_000_000} M "
                "parameters",
                max(against.values()),
                1.0,
                note=", ".join(f"{value:.2f} of {name}" for name, value in against.items()),
            )
        )
        figures.append(
            Figure(
                f"LionK, step, {total // 1_000_000} M parameters",
                sorted(ours)[len(ours) // 2] * 1e3,
                None,
                "ms",
            )
        )
        if total == 1_000_000:
            plain = LionK(weights(total), fused=False, **settings)
            first, second = in_turns(plain.step, opts[1].step, rounds=30)
            figures.append(
                Figure(
                    "LionK with fused=False over pytorch-optimizer's Lion, 1 M parameters",
                    ratio(first, second),
                )
            )
            for kappa in ("l2", "huber[e=0.01]", "group"):
                other = LionK(weights(total), kappa=kappa, **settings)
                first, second = in_turns(other.step, opts[1].step, rounds=30)
                figures.append(
                    Figure(
                        f"LionK with kappa {kappa} over pytorch-optimizer's Lion, 1 M parameters",
                        ratio(first, second),
                    )
                )
        buffers = {
            sum(t.numel() for t in state.values()) / p.numel() for p, state in opts[0].state.items()
        }
        if total == 25_000_000:
            figures.append(
                Figure("numbers of state for each parameter", max(buffers), 1.0, "numbers")
            )
        del params, opts
        gc.collect()
    ends = []
    for make in (LionK, PytorchOptimizerLion, LionPytorch):
        torch.manual_seed(1)
        ps = weights(60_000, torch.float64)
        opt = make(ps, **{**settings, "lr": 1e-3})
        for t in range(200):
            for i, p in enumerate(ps):
                noise = torch.randn(
                    p.shape,
                    dtype=torch.float64,
                    generator=torch.Generator().manual_seed(60 * t + i),
                )
                p.grad = p.detach() * ((i + t) % 3) - 0.5 + noise
            opt.step()
        ends.append(torch.cat([p.detach().reshape(-1) for p in ps]))
    figures.append(
        Figure(
            "largest difference of weights after 200 steps in float64",
            float(max((ends[0] - e).abs().max() for e in ends[1:])),
            1e-12,
            "weights",
        )
    )
    write("lion_k", figures)
    return figures
