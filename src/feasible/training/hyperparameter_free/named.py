"""Optimisers as recipes name them: with what they need beside them, and watched.

DoG and its kin come with the average of their iterates, bases of Mechanic with the first bet that a
few hundred steps need.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import torch

from .averaging import GAMMA, PolynomialAverager
from .dog import DoG, DoWG, LDoG
from .estimate import watch
from .mechanic import MechanicSettings, mechanize

SHORT = MechanicSettings.short()


def _averaged(optimizer: DoG, gamma: float) -> DoG:
    """The optimiser with the average of its iterates, watched."""
    PolynomialAverager(optimizer, gamma)
    watch(optimizer)
    return optimizer


def averaged_dog(params: Any, gamma: float = GAMMA, **settings: Any) -> DoG:
    """DoG with its average, which `eval()` puts into the parameters; settings as `DoG` has them."""
    return _averaged(DoG(params, **settings), gamma)


def averaged_ldog(params: Any, gamma: float = GAMMA, **settings: Any) -> DoG:
    """LDoG with its average, as `averaged_dog`."""
    return _averaged(LDoG(params, **settings), gamma)


def averaged_dowg(params: Any, gamma: float = GAMMA, **settings: Any) -> DoG:
    """DoWG with an average, as `averaged_dog`."""
    return _averaged(DoWG(params, **settings), gamma)


def _mechanized(
    base: type[torch.optim.Optimizer], params: Any, tuner: MechanicSettings, settings: Any
) -> Any:
    """The base optimiser with a learned scale, watched."""
    optimizer = mechanize(base, **asdict(tuner))(params, **settings)
    watch(optimizer)
    return optimizer


def mechanic_adamw(
    params: Any,
    lr: float = 1.0,
    s_init: float = SHORT.s_init,
    s_decay: float = SHORT.s_decay,
    **settings: Any,
) -> Any:
    """AdamW whose scale Mechanic learns, from the first bet for short runs.

    Args:
        params: What torch optimisers take.
        lr: Rate of AdamW, which the scale multiplies.
        s_init: As in `MechanicSettings`.
        s_decay: As in `MechanicSettings`.
        **settings: AdamW's other settings.
    """
    tuner = replace(SHORT, s_init=s_init, s_decay=s_decay)
    return _mechanized(torch.optim.AdamW, params, tuner, {"lr": lr, **settings})


def mechanic_sgd(
    params: Any,
    lr: float = 1.0,
    s_init: float = SHORT.s_init,
    s_decay: float = SHORT.s_decay,
    **settings: Any,
) -> Any:
    """SGD whose scale Mechanic learns, as `mechanic_adamw`."""
    tuner = replace(SHORT, s_init=s_init, s_decay=s_decay)
    return _mechanized(torch.optim.SGD, params, tuner, {"lr": lr, **settings})
