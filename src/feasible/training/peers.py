"""Peers: optimisers of other libraries, as recipes name them. The only file of this room that imports them."""

from __future__ import annotations

from typing import Any

from ..core.errors import MissingExtra


def schedule_free_adamw(params: Any, lr: float = 2.5e-3, **settings: Any) -> Any:
    """schedulefree's AdamW (Defazio et al., 2024, arXiv 2405.15682), set to train; `eval()` puts in the weights to evaluate. It wants no schedule."""
    try:
        import schedulefree
    except ImportError as error:
        raise MissingExtra(f"method 'schedulefree-adamw' needs the package 'schedulefree', which cannot be imported ({error}): "
                           "install it with  pip install 'feasible[peers]'") from None
    optimizer = schedulefree.AdamWScheduleFree(params, lr=lr, **settings)
    optimizer.train()
    return optimizer
