"""Dies as black boxes: one target, so many simulations."""

from __future__ import annotations

from functools import cache
from typing import Any, Literal

from ... import blackbox
from ...core.annotations import checked
from ...core.checks import real
from .dies import TOLERANCE, Die, channel_die, split_die
from .problem import DieTask


@cache
def _split(h: int) -> Die:
    """The die with two outlets, made once."""
    return split_die(h)


@cache
def _channel() -> Die:
    """The channel, made once."""
    return channel_die()


@checked
def die_share(target: float = 0.4, h: int = 2) -> Any:
    """Give the upper outlet of a die a wanted share of the flow: |share - target|.

    Args:
        target: The share, in [0.1, 0.7].
        h: Cells for each unit of length.

    Returns:
        A BlackBox of two inputs, the shifts of the upper control points.
    """
    target = real("target", target, least=0.1, most=0.7)
    die = _split(h)

    def error(x: Any) -> float:
        return float(abs(die.quality(x)[0] - target))

    bounds = list(zip(die.low.tolist(), die.high.tolist(), strict=True))
    return blackbox.BlackBox(error, bounds=bounds, name="die-share", objective="error")


@checked
def die_channel_evenness() -> Any:
    """Let the same velocity through three patches of a channel's outlet: the sum of squares of
    their qualities; 0.193 undeformed.

    Returns:
        A BlackBox of three inputs.
    """
    die = _channel()

    def unevenness(x: Any) -> float:
        quality = die.quality(x)
        return float(quality @ quality)

    bounds = list(zip(die.low.tolist(), die.high.tolist(), strict=True))
    return blackbox.BlackBox(unevenness, bounds=bounds, name="die-channel", objective="unevenness")


@checked
def die_task(
    targets: int = 50,
    max_steps: int = 50,
    name: str = "die-task",
    die: Literal["split", "channel"] = "split",
) -> DieTask:
    """The task of a die, on a number of goals.

    Args:
        targets: How many goals the judge has.
        max_steps: Of an episode.
        name: What it is called.
        die: "split", with two outlets, or "channel", with three patches, whose goal is an
            unevenness below 0.15, of 0.193 undeformed.
    """
    return DieTask(
        targets=targets, max_steps=max_steps, tolerance=TOLERANCE[die], name=name, die=die
    )
