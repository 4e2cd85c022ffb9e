"""Environments of gymnasium, some with limits on what they cost."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..control import Control


def environment(env: str, name: str) -> Control:
    """An environment of gymnasium as it is.

    Args:
        env: Its id.
        name: What it is called.
    """
    return Control(env, name=name)


def centred_cart_pole(most: float = 20.0) -> Control:
    """The pole on a cart that must stay near the middle of its track.

    Args:
        most: Of the expected sum of the cart's distance from the middle over an episode.
    """

    def distance(obs: Any, action: Any, info: dict[str, Any]) -> float:
        return abs(float(obs[0]))

    return Control(
        "CartPole-v1",
        limits={"distance": f"<= {most:g}"},
        costs={"distance": distance},
        name="centred-cart-pole",
    )


def torque_pendulum(most: float = 150.0) -> Control:
    """The pendulum that is swung up and held, with a limit on the expected sum of torques.

    Args:
        most: Of the sum of |torque| over an episode of 200 steps; without a limit a good policy
            takes about 250 and the largest torque is 2.
    """

    def torque(obs: Any, action: Any, info: dict[str, Any]) -> float:
        return float(np.abs(action).sum())

    return Control(
        "Pendulum-v1",
        limits={"torque": f"<= {most:g}"},
        costs={"torque": torque},
        name="torque-pendulum",
    )
