"""Peers: optimisers and schedules of other libraries, as recipes name them. The only file of
this room that imports them.
"""

from __future__ import annotations

from typing import Any

from ...core.errors import MissingExtra


def schedule_free_adamw(params: Any, lr: float = 2.5e-3, **settings: Any) -> Any:
    """schedulefree's AdamW (Defazio et al., 2024, arXiv 2405.15682), set to train; `eval()` puts in
    the weights to evaluate. It wants no schedule.

    Args:
        params: What torch optimisers take.
        lr: Rate.
        **settings: The class's others.
    """
    try:
        import schedulefree
    except ImportError as error:
        raise MissingExtra(
            "method 'schedulefree-adamw' needs the package 'schedulefree', which cannot be "
            f"imported ({error}): "
            "install it with  pip install 'feasible[peers]'"
        ) from None
    optimizer = schedulefree.AdamWScheduleFree(params, lr=lr, **settings)
    optimizer.train()
    return optimizer


def rex(optimizer: Any, total_steps: int, min_lr: float = 0.0) -> Any:
    """pytorch-optimizer's REXScheduler, as it ships: one rate for all groups, and a first step at
    min_lr.

    Args:
        optimizer: A torch optimiser.
        total_steps: Steps of the run.
        min_lr: Rate at the first step and at the end.
    """
    try:
        from pytorch_optimizer import REXScheduler
    except ImportError as error:
        raise MissingExtra(
            "schedule 'pytorch-optimizer-rex' needs the package 'pytorch-optimizer', which cannot "
            f"be imported ({error}): "
            "install it with  pip install 'feasible[peers]'"
        ) from None
    return REXScheduler(
        optimizer, total_steps, max_lr=float(optimizer.param_groups[0]["lr"]), min_lr=min_lr
    )
