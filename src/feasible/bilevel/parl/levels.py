"""A reward design as the room's own two levels, for methods that know nothing of rewards.

x is nu, y the logits of the agent's policy at each step and state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from ..problem import Bilevel
from .problem import RewardDesign

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


def as_bilevel(problem: RewardDesign) -> Bilevel:
    """Return the same problem with both levels as torch functions.

    minimise -E sum_h gamma^h u(s_h, a_h), where y minimises -E sum_h gamma^h (r_nu - tau log pi_h)

    Args:
        problem: Whose reward is linear in nu, or a function of torch's.

    Example:
        >>> from feasible.bilevel.parl.instances import incentives
        >>> problem = incentives()
        >>> both = as_bilevel(problem)
        >>> bool(abs(both.judge(np.ones(4)).objective - problem.judge(np.ones(4)).objective) < 1e-9)
        True
    """
    lower, utility = problem.lower, torch.as_tensor(problem.utility)
    features = None if lower.features is None else torch.as_tensor(lower.features)

    def reward(nu: Tensor) -> Tensor:
        if features is not None:
            return features @ nu
        assert lower.function is not None
        found: Tensor = lower.function(nu)
        return found

    dense = lower.moves if isinstance(lower.moves, np.ndarray) else lower.moves.toarray()
    moves, rho = torch.as_tensor(dense), torch.as_tensor(lower.rho)

    def reached(logits: Tensor, each: Tensor, tau: float) -> Tensor:
        """Return E sum_h gamma^h (each - tau log pi_h) under the policy of these logits."""
        log = torch.log_softmax(logits, dim=2)
        value = torch.zeros(lower.states, dtype=torch.float64)
        for h in reversed(range(lower.horizon)):
            q = each - tau * log[h] + lower.gamma * (moves @ value).reshape(each.shape)
            value = (log[h].exp() * q).sum(dim=1)
        return rho @ value

    def respond(nu: Tensor) -> Float[np.ndarray, "H S A"]:
        table = lower.reward(torch.as_tensor(nu).detach().numpy())
        return np.log(np.maximum(lower.respond(table).policy, 1e-300))

    shape = (lower.horizon, lower.states, lower.actions)
    return Bilevel(
        upper=lambda nu, logits: -reached(logits, utility, 0.0),
        lower=lambda nu, logits: -reached(logits, reward(nu), lower.tau),
        x0=problem.nu0,
        y0=np.zeros(shape),
        respond=respond,
        name=problem.name,
    )
