"""The gradient of what a designer reaches through the agent's best answer, exactly.

    J(nu) = E_(d ~ pi*(nu)) sum_h gamma^h u(s_h, a_h)

By the implicit function theorem grad J = -grad2_(nu theta) V [grad2_(theta theta) V]^-1 g, with g
the policy gradient of u. At the regularised optimum grad2_(theta theta) V = -tau F, F the Fisher
matrix sum_h gamma^h E g_h g_h', which is block diagonal over steps and states; and F^+ g is the
advantage of u, A_h(s, a) = W_h(s, a) - sum_a' pi_h W_h. So

    grad J = (1 / tau) E sum_h gamma^h grad_nu r(s_h, a_h) sum_(j<=h) A_j(s_j, a_j)

which one pass backwards and one forwards compute, without a matrix of the size of theta.

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585: the first term of its hyper-gradient.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.errors import ArgumentTypeError
from .mdp import Response, TabularSoftMDP, table

if TYPE_CHECKING:
    from jaxtyping import Float


def design_gradient(
    mdp: TabularSoftMDP, nu: Any, utility: Any
) -> tuple[float, Float[np.ndarray, " k"], Response]:
    """Return J(nu), its gradient, and the agent's answer.

    Args:
        mdp: The lower level.
        nu: (k,) parameters of the reward.
        utility: (S, A) u.

    Raises:
        ArgumentTypeError: mdp is no TabularSoftMDP.
        ShapeError: A shape does not fit.
        NotFinite: A NaN or an infinity in u, nu or the reward.

    Example:
        One state, one step: the agent's policy is softmax(nu / tau).

        >>> mdp = TabularSoftMDP(np.ones((1, 2, 1)), [1.0], np.eye(2)[None], horizon=1, tau=0.5)
        >>> value, slope, _ = design_gradient(mdp, [0.0, 0.0], [[1.0, 0.0]])
        >>> value, slope.tolist()
        (0.5, [0.5, -0.5])
    """
    if not isinstance(mdp, TabularSoftMDP):
        raise ArgumentTypeError(f"mdp={mdp!r:.60}: expected a TabularSoftMDP")
    u = table("utility", utility, mdp)
    reward, pullback = mdp.reward_and_pullback(nu)
    policy, advantage, (soft, value) = _backwards(mdp, reward, u)
    weights = _forwards(mdp, policy, advantage) / mdp.tau
    return float(mdp.rho @ value), pullback(weights), Response(policy, float(mdp.rho @ soft))


def _backwards(
    mdp: TabularSoftMDP, reward: Float[np.ndarray, "S A"], u: Float[np.ndarray, "S A"]
) -> tuple[Float[np.ndarray, "H S A"], Float[np.ndarray, "H S A"], Float[np.ndarray, "2 S"]]:
    """Return pi, the advantages A of u, and the first values of agent and designer."""
    policy = np.empty((mdp.horizon, *reward.shape))
    advantage = np.empty_like(policy)
    values = np.zeros((2, mdp.states))
    for h in reversed(range(mdp.horizon)):
        soft, own = mdp.ahead(values)
        policy[h], values[0] = mdp.soft_step(reward, soft)
        w = u + mdp.gamma * own.reshape(u.shape)
        values[1] = np.einsum("sa,sa->s", policy[h], w)
        np.subtract(w, values[1][:, None], out=advantage[h])
    return policy, advantage, values


def _forwards(
    mdp: TabularSoftMDP, policy: Float[np.ndarray, "H S A"], advantage: Float[np.ndarray, "H S A"]
) -> Float[np.ndarray, "S A"]:
    """Return E sum_h gamma^h 1[(s_h, a_h) = (s, a)] sum_(j<=h) A_j(s_j, a_j)."""
    weights = np.zeros(policy.shape[1:])
    pair = np.stack([mdp.rho, np.zeros(mdp.states)])  # gamma^h P(s), and times the sum so far
    flow = np.empty((2, *weights.shape))
    for h in range(mdp.horizon):
        np.multiply(pair[:, :, None], policy[h], out=flow)
        flow[1] += flow[0] * advantage[h]
        weights += flow[1]
        if h + 1 < mdp.horizon:
            pair = mdp.gamma * mdp.reached(flow.reshape(2, -1))
    return weights
