"""Random decision processes, and a grid with distractors.

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585. Its experiments need MuJoCo; these are
    small enough for the best answer to be known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.checks import flag, whole
from .feedback import BradleyTerry
from .mdp import TabularSoftMDP
from .problem import RewardDesign, RewardFromPreferences

if TYPE_CHECKING:
    from jaxtyping import Float


def random_world(
    seed: int = 0,
    states: int = 6,
    actions: int = 3,
    features: int = 4,
    horizon: int = 8,
    spanned: bool = False,
) -> tuple[TabularSoftMDP, Float[np.ndarray, "S A"]]:
    """Return a random process and a true utility.

    Rows of P are drawn from Dirichlet(1/2), features and the utility are standard normal, tau is
    1/2.

    Args:
        seed: Of the draws.
        states: S.
        actions: A.
        features: k.
        horizon: H.
        spanned: Whether the utility is a combination of the features.
    """
    rng = np.random.default_rng(seed)
    P = rng.dirichlet(np.full(states, 0.5), (states, actions))
    phi = rng.standard_normal((states, actions, features))
    utility = rng.standard_normal((states, actions))
    if flag("spanned", spanned):
        utility = phi @ rng.standard_normal(features)
    return TabularSoftMDP(P, np.full(states, 1 / states), phi, horizon), utility


def incentives(seed: int = 0) -> RewardDesign:
    """Six states, three actions, eight steps; four parameters, and none makes the utility."""
    lower, utility = random_world(seed)
    return RewardDesign(lower, utility, np.zeros(4), name="incentives")


def grid_world(size: int = 8, horizon: int = 20) -> tuple[TabularSoftMDP, Float[np.ndarray, "S A"]]:
    """Return a grid with a goal in a corner and two zones that look like it.

    Moves (up, down, left, right) slip to a random side with probability 0.1; the agent starts in
    the corner opposite the goal. Features: 1 at the goal, 1 in each zone, closeness to the goal,
    and a constant cost of moving on. The utility is 1 at the goal, -1 in the second zone.

    Args:
        size: Cells of a side, >= 4.
        horizon: H.
    """
    n = whole("size", size, least=4)
    P = np.zeros((n * n, 4, n * n))
    moves = ((-1, 0), (1, 0), (0, -1), (0, 1))
    for cell in range(n * n):
        row, column = divmod(cell, n)
        for action in range(4):
            for taken, (dr, dc) in enumerate(moves):
                where = min(max(row + dr, 0), n - 1) * n + min(max(column + dc, 0), n - 1)
                P[cell, action, where] += 0.9 * (taken == action) + 0.1 / 4
    rows, columns = np.divmod(np.arange(n * n), n)
    goal = (rows == n - 1) & (columns == n - 1)
    one = (rows >= n - 3) & (columns < 2)
    two = (rows < 2) & (columns >= n - 3)
    near = (rows + columns) / (2 * n - 2)
    at = np.stack([goal, one, two, near], axis=1).astype(float)
    features = np.repeat(at[:, None], 4, axis=1)
    rho = (np.arange(n * n) == 0).astype(float)
    utility = np.repeat((goal * 1.0 - two * 1.0)[:, None], 4, axis=1)
    return TabularSoftMDP(P, rho, features, horizon), utility


def grid_incentives() -> RewardDesign:
    """An 8 x 8 grid with two zones that look like the goal, one of which does harm."""
    lower, utility = grid_world()
    return RewardDesign(lower, utility, np.zeros(4), name="grid-incentives")


def preferences(seed: int = 0, spanned: bool = True) -> RewardFromPreferences:
    """Comparisons of episodes of a random process by a simulated person.

    Args:
        seed: Of the process, and of the person's draws.
        spanned: Whether the true utility is one of the rewards.
    """
    lower, utility = random_world(seed, spanned=spanned)
    name = "preferences" if spanned else "preferences-outside"
    person = BradleyTerry(utility, seed=seed)
    return RewardFromPreferences(lower, person, np.zeros(4), utility, name=name)


def preferences_outside(seed: int = 0) -> RewardFromPreferences:
    """Comparisons by a simulated person whose utility is none of the rewards.

    Args:
        seed: Of the process, and of the person's draws.
    """
    return preferences(seed, spanned=False)
