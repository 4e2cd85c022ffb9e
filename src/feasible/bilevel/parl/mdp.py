"""A finite Markov decision process of finite horizon whose agent maximises reward plus entropy.

The lower level of this paper, exactly:

    maximise over pi  E sum_(h<H) gamma^h (r(s_h, a_h) - tau log pi_h(a_h | s_h))

Its maximiser is unique and interior, one distribution per step and state, and soft value iteration
gives it: Q_h = r + gamma P V_(h+1), V_h = tau log sum_a exp(Q_h / tau), pi_h = exp((Q_h - V_h) /
tau).

References:
    Chakraborty et al., "PARL", ICLR 2024, arXiv 2308.02585, the lower level of its problem.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from ...core.checks import floats, fraction, naming, real, whole
from ...core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from . import compiled

if TYPE_CHECKING:
    from jaxtyping import Float, Int

LARGEST = 1e100
"""Rewards below this have finite sums."""
STOCHASTIC = 1e-8
"""How far the sums of rows of P and of rho may be from 1."""


@dataclass(slots=True)
class Response:
    """The agent's answer to a reward.

    Attributes:
        policy: (H, S, A) probabilities of actions.
        value: What the agent reaches, entropy included, from the first states.
    """

    policy: Float[np.ndarray, "H S A"]
    value: float


class TabularSoftMDP:
    """A decision process with S states, A actions and a reward that depends on parameters nu.

    Args:
        P: (S, A, S) probabilities of the next state, or (S * A, S) sparse, rows by state, then
            action.
        rho: (S,) probabilities of the first state.
        reward: (S, A, k) features, for r = features @ nu; or a function of nu, a torch tensor (k,),
            that returns (S, A) by torch's functions.
        horizon: H, steps of an episode.
        tau: Weight of the entropy, > 0.
        gamma: Discount of the agent and of what is judged.

    Raises:
        ShapeError: Shapes do not fit.
        ArgumentError: Rows of P or rho do not sum to 1 within 1e-8, or tau is not positive: without
            entropy the best policy is deterministic and has no derivative.
        NotFinite: A NaN or an infinity.
    """

    def __init__(
        self,
        P: Any,
        rho: Any,
        reward: Any,
        horizon: int = 8,
        tau: float = 0.5,
        gamma: float = 1.0,
    ):
        self.horizon = whole("horizon", horizon, least=1, most=10**6)
        self.tau = real("tau", tau, above=0, note="; at 0 the best policy has no derivative")
        self.gamma = fraction("gamma", gamma, zero=False)
        self.rho = probabilities("rho", floats("rho", rho))
        if self.rho.ndim != 1:
            raise ShapeError(f"rho has shape {self.rho.shape}: expected (S,)")
        self.states = len(self.rho)
        self.moves = transitions(P, self.states)
        self.actions = self.moves.shape[0] // self.states
        self.back = self.moves.T.tocsr() if sparse.issparse(self.moves) else self.moves.T
        self.features: np.ndarray | None = None
        self.function: Callable[..., Any] | None = None
        if callable(reward):
            self.function = reward
            return
        self.features = floats("reward", reward)
        wanted = (self.states, self.actions)
        if self.features.ndim != 3 or self.features.shape[:2] != wanted:
            raise ShapeError(
                f"reward has shape {self.features.shape}: expected {(*wanted, 'k')} features, or a "
                "function of nu"
            )
        if not np.isfinite(self.features).all():
            raise NotFinite("reward has a NaN or an infinity among its features")

    # -- the reward --------------------------------------------------------------------------------

    def reward(self, nu: Any) -> Float[np.ndarray, "S A"]:
        """Return r_nu. Raises NotFinite, ShapeError."""
        return self.reward_and_pullback(nu)[0]

    def reward_and_pullback(
        self, nu: Any
    ) -> tuple[Float[np.ndarray, "S A"], Callable[[np.ndarray], Float[np.ndarray, " k"]]]:
        """Return r_nu, and what turns weights of (s, a) into sum weight(s, a) grad_nu r(s, a).

        Args:
            nu: (k,) parameters.
        """
        nu = floats("nu", nu)
        if self.features is not None:
            features = self.features
            if nu.shape != features.shape[2:]:
                raise ShapeError(f"nu has shape {nu.shape}: expected {features.shape[2:]}")
            return checked(features @ nu), lambda weights: np.einsum("sa,sak->k", weights, features)
        import torch

        assert self.function is not None
        leaf = torch.tensor(nu, requires_grad=True)
        found = self.function(leaf)
        if not isinstance(found, torch.Tensor) or found.shape != (self.states, self.actions):
            what = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
            raise ShapeError(
                f"reward returned {what}: expected a tensor of shape {self.states, self.actions}"
            )

        def pullback(weights: np.ndarray) -> np.ndarray:
            weights = torch.as_tensor(weights)
            (slope,) = torch.autograd.grad(found, leaf, weights, retain_graph=True)
            return slope.numpy()

        return checked(found.detach().numpy()), pullback

    # -- the lower level ---------------------------------------------------------------------------

    def respond(self, reward: Float[np.ndarray, "S A"]) -> Response:
        """Return the agent's best policy for a reward, by soft value iteration.

        Args:
            reward: (S, A).
        """
        policy = np.empty((self.horizon, self.states, self.actions))
        value = np.zeros(self.states)
        for h in reversed(range(self.horizon)):
            policy[h], value = self.soft_step(reward, self.moves @ value)
        return Response(policy, float(self.rho @ value))

    def soft_step(
        self, reward: Float[np.ndarray, "S A"], ahead: Float[np.ndarray, " SA"]
    ) -> tuple[Float[np.ndarray, "S A"], Float[np.ndarray, " S"]]:
        """Return pi_h and V_h from P V_(h+1)."""
        q = (reward + self.gamma * ahead.reshape(reward.shape)) / self.tau
        top = q.max(axis=1, keepdims=True)
        np.exp(q - top, out=q)
        total = q.sum(axis=1, keepdims=True)
        q /= total
        return q, self.tau * (top + np.log(total))[:, 0]

    def greedy(self, reward: Float[np.ndarray, "S A"]) -> Response:
        """Return the policy that maximises a reward without entropy, and what it reaches.

        Args:
            reward: (S, A).
        """
        policy = np.zeros((self.horizon, self.states, self.actions))
        value, rows = np.zeros(self.states), np.arange(self.states)
        for h in reversed(range(self.horizon)):
            q = reward + self.gamma * (self.moves @ value).reshape(reward.shape)
            best = q.argmax(axis=1)
            policy[h, rows, best], value = 1.0, q[rows, best]
        return Response(policy, float(self.rho @ value))

    def uniform(self) -> Float[np.ndarray, "H S A"]:
        """Return the policy that takes each action with the same probability."""
        return np.full((self.horizon, self.states, self.actions), 1 / self.actions)

    def ahead(self, pair: Float[np.ndarray, "2 S"]) -> Float[np.ndarray, "2 SA"]:
        """Return P v for two v at once."""
        if sparse.issparse(self.moves):
            return np.stack([self.moves @ pair[0], self.moves @ pair[1]])
        found = np.empty((2, len(self.moves)))
        compiled.ahead(self.moves, pair, found)
        return found

    def reached(self, pair: Float[np.ndarray, "2 SA"]) -> Float[np.ndarray, "2 S"]:
        """Return P' w for two w at once."""
        if sparse.issparse(self.moves):
            return np.stack([self.back @ pair[0], self.back @ pair[1]])
        found = np.empty((2, self.states))
        compiled.back(self.moves, pair, found)
        return found

    # -- what a policy brings ----------------------------------------------------------------------

    def visits(self, policy: Float[np.ndarray, "H S A"]) -> Float[np.ndarray, "H S"]:
        """Return the probability of each state at each step."""
        found = np.empty((self.horizon, self.states))
        found[0] = self.rho
        for h in range(1, self.horizon):
            found[h] = self.back @ (found[h - 1][:, None] * policy[h - 1]).ravel()
        return found

    def expected(
        self, policy: Float[np.ndarray, "H S A"], utility: Float[np.ndarray, "S A"]
    ) -> float:
        """Return E sum_h gamma^h utility(s_h, a_h) under a policy."""
        value = np.zeros(self.states)
        for h in reversed(range(self.horizon)):
            ahead = utility + self.gamma * (self.moves @ value).reshape(utility.shape)
            value = (policy[h] * ahead).sum(axis=1)
        return float(self.rho @ value)

    def rollout(
        self, policy: Float[np.ndarray, "H S A"], n: int, rng: np.random.Generator
    ) -> Int[np.ndarray, "n H 2"]:
        """Return n episodes under a policy, as (state, action) at each step.

        Args:
            policy: (H, S, A).
            n: How many.
            rng: Where draws come from.
        """
        found = np.empty((n, self.horizon, 2), dtype=np.int64)
        states = pick(np.broadcast_to(self.rho, (n, self.states)), rng)
        for h in range(self.horizon):
            actions = pick(policy[h, states], rng)
            found[:, h, 0], found[:, h, 1] = states, actions
            if h + 1 < self.horizon:
                rows = self.moves[states * self.actions + actions]
                states = pick(rows.toarray() if sparse.issparse(rows) else rows, rng)
        return found


def pick(rows: Float[np.ndarray, "n m"], rng: np.random.Generator) -> Int[np.ndarray, " n"]:
    """Return an index for each row of probabilities."""
    ends = np.cumsum(rows, axis=1)
    drawn = rng.random(len(rows))[:, None] * ends[:, -1:]
    return (drawn >= ends).sum(axis=1).clip(max=rows.shape[1] - 1)


def probabilities(name: str, p: Float[np.ndarray, ...]) -> Float[np.ndarray, ...]:
    """Return p, whose last axis sums to 1.

    Raises:
        NotFinite: A NaN or an infinity.
        ArgumentError: A negative one, or a sum that is not 1.
    """
    if not p.size:
        raise ShapeError(f"{name} has shape {p.shape}: expected at least one state")
    if not np.isfinite(p).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected probabilities")
    if p.min() < 0 or abs(p.sum(axis=-1) - 1).max() > STOCHASTIC:
        worst = float(p.min()) if p.min() < 0 else float(abs(p.sum(axis=-1) - 1).max())
        what = "a negative entry" if p.min() < 0 else "a row whose sum differs from 1 by"
        raise ArgumentError(f"{name} has {what} {worst:.3g}: expected rows of probabilities")
    return p


def transitions(P: Any, states: int) -> Any:
    """Return P as a (S * A, S) matrix, dense or CSR. Raises as `TabularSoftMDP`."""
    if sparse.issparse(P):
        moves = sparse.csr_array(P, dtype=float)
        if moves.shape[1] != states or moves.shape[0] % states or not moves.shape[0]:
            raise ShapeError(f"P has shape {moves.shape}: expected (S * A, S) with S = {states}")
        sums = np.asarray(moves.sum(axis=1)).ravel()
        least = float(moves.data.min()) if moves.nnz else 0.0
        if not np.isfinite(moves.data).all():
            raise NotFinite("P has a NaN or an infinity: expected probabilities")
        if least < 0 or abs(sums - 1).max() > STOCHASTIC:
            raise ArgumentError(
                f"P has a row whose sum differs from 1 by {abs(sums - 1).max():.3g}, or a negative "
                "entry: expected rows of probabilities"
            )
        return moves
    dense = floats("P", P)
    if dense.ndim != 3 or dense.shape[0] != states or dense.shape[2] != states:
        raise ShapeError(f"P has shape {dense.shape}: expected (S, A, S) with S = {states}")
    return np.ascontiguousarray(probabilities("P", dense).reshape(-1, states))


def checked(reward: Float[np.ndarray, "S A"]) -> Float[np.ndarray, "S A"]:
    """Return a reward that is finite, and not so large that sums overflow. Raises NotFinite."""
    if not abs(reward).max() < LARGEST:
        raise NotFinite(
            f"reward has a NaN, an infinity or a number beyond {LARGEST:g} at this nu: expected "
            "finite numbers; a smaller lr keeps nu from diverging"
        )
    return reward


def table(name: str, value: Any, mdp: TabularSoftMDP) -> Float[np.ndarray, "S A"]:
    """Return a table of one number for each state and action.

    Raises:
        ShapeError: Its shape does not fit.
        NotFinite: A NaN or an infinity.
        ArgumentTypeError: It holds something else than numbers.
    """
    if callable(value):
        raise ArgumentTypeError(f"{name} is a function: expected a table (S, A) of numbers")
    found = floats(name, value)
    if found.shape != (mdp.states, mdp.actions):
        raise ShapeError(f"{name} has shape {found.shape}: expected {mdp.states, mdp.actions}")
    if not np.isfinite(found).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    return found


def parameters(name: str, value: Any, mdp: TabularSoftMDP) -> Float[np.ndarray, " k"]:
    """Return a copy of nu where methods start.

    Raises:
        ShapeError: It does not fit the reward.
        NotFinite: A NaN or an infinity.
    """
    nu = floats(name, value).copy()
    if nu.ndim != 1 or not len(nu):
        raise ShapeError(f"{name} has shape {nu.shape}: expected (k,), k >= 1")
    if not np.isfinite(nu).all():
        raise NotFinite(f"{name} has a NaN or an infinity: expected finite numbers")
    with naming(name):
        mdp.reward(nu)
    return nu
