"""Environments with several rewards: mo-gymnasium's, and targets for a linear system, whose best
policies are known.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..control import Control


@dataclass(frozen=True)
class Known:
    """An environment of mo-gymnasium, and how its fronts are measured.

    Attributes:
        env: Its id.
        reference: A point that is worse than all that is worth having.
        discount: Of the returns.
        episodes: Of a policy at a point of the trail, and
        final_episodes: of a policy of the answer: 1 where a second one is the same.
        best: Hypervolume of the true front, where it can be listed.
    """

    env: str
    reference: tuple[float, ...]
    discount: float = 0.99
    episodes: int = 1
    final_episodes: int = 1
    best: float | None = None


KNOWN: Mapping[str, Known] = {
    "deep-sea-treasure": Known("deep-sea-treasure-v0", (0, -50), best=854.8503500349924),
    "fruit-tree": Known("fruit-tree-v0", (-1,) * 6, best=46034.80169795989),
    "minecart": Known("minecart-v0", (-1, -1, -200), 0.98, 1, 5),
    "minecart-deterministic": Known("minecart-deterministic-v0", (-1, -1, -200), 0.98),
    "resource-gathering": Known("resource-gathering-v0", (-1, -1, -1), 0.9, 5, 50),
    "four-room": Known("four-room-v0", (-1, -1, -1), 0.99),
    "mo-mountaincar": Known("mo-mountaincar-v0", (-200,) * 3, 0.99, 2, 10),
    "mo-lunar-lander": Known("mo-lunar-lander-v3", (-101, -1001, -101, -101), 0.99, 2, 10),
    "mo-reacher": Known("mo-reacher-v5", (-50,) * 4, 0.99, 2, 10),
    "mo-halfcheetah": Known("mo-halfcheetah-v5", (-100, -100), 0.99, 1, 5),
    "mo-hopper-2obj": Known("mo-hopper-2obj-v5", (-100, -100), 0.99, 1, 5),
    "mo-hopper": Known("mo-hopper-v5", (-100,) * 3, 0.99, 1, 5),
    "mo-swimmer": Known("mo-swimmer-v5", (-100, -100), 0.99, 1, 5),
    "mo-walker2d": Known("mo-walker2d-v5", (-100, -100), 0.99, 1, 5),
    "mo-ant-2obj": Known("mo-ant-2obj-v5", (-100, -100), 0.99, 1, 5),
    "mo-ant": Known("mo-ant-v5", (-100,) * 3, 0.99, 1, 5),
    "mo-humanoid": Known("mo-humanoid-v5", (-100, -100), 0.99, 1, 5),
}
"""Name -> environment."""


def mo_control(name: str) -> Control:
    """An environment of mo-gymnasium as a problem with a reference point.

    Args:
        name: One of `KNOWN`.

    Raises:
        MissingExtra: mo-gymnasium, or what the environment needs, is not installed.
    """
    said = KNOWN[name]
    problem = Control(
        said.env,
        reference=said.reference,
        discount=said.discount,
        episodes=said.episodes,
        final_episodes=said.final_episodes,
        name=name,
    )
    problem.best_known = None if said.best is None else -said.best
    return problem


def nine_targets() -> Control:
    """A linear system that should be at nine targets at once; see `targets.Targets`."""
    from .targets import Targets

    corner = (-750.0,) * 9
    return Control(Targets, reference=corner, episodes=5, final_episodes=20, name="nine-targets")
