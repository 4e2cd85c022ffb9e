"""A-PARL: choose the parameters of a reward so that the agent it makes does what a designer wants.

    minimise over nu  G(nu) = E_(d ~ pi*(nu)) U_nu(d) + Z(nu)

pi*(nu) maximises the reward r_nu plus entropy (`mdp`). U is minus a utility, or the negative log
likelihood of a person's preferences. Its gradient has two terms:

    grad G = E[U_nu(d) (grad_nu theta*)' grad_theta log p(d)]  +  E[grad_nu U_nu(d)] + grad Z

The first is what learning a reward from preferences usually leaves out: nu changes the agent, and
so the episodes it is judged on.

References:
    Chakraborty, Bedi, Koppel, Wang, Manocha, Wang, Huang, "PARL: A Unified Framework for Policy
    Alignment in Reinforcement Learning from Human Feedback", ICLR 2024, arXiv 2308.02585.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.special import softmax

from ...core.budget import spend
from ...core.checks import generator, whole
from ...core.comparing import affordable
from ...core.errors import ArgumentError, ArgumentTypeError
from .feedback import PreferenceFeedback, UtilityFeedback, likelihood, likelihood_weights, steps_of
from .hypergradient import design_gradient
from .mdp import TabularSoftMDP, parameters, table
from .sampled import distribution_weights
from .settings import APARLSettings

if TYPE_CHECKING:
    from jaxtyping import Float, Int

GRADIENT = 3
"""Solves of the lower level that an exact gradient is charged: at most what it takes."""
Feedback = UtilityFeedback | PreferenceFeedback


@dataclass(slots=True)
class APARLState:
    """Where A-PARL stands.

    Attributes:
        rng: Where episodes are drawn from.
        nu: (k,) parameters.
        logits: (H, S, A) theta of the lower level's own steps; empty where it is solved exactly.
        mean: (k,) Adam's mean of gradients.
        square: (k,) Adam's mean of their squares.
        pairs: (n, 2, H, 2) pairs with a label.
        labels: (n,) the labels.
        t: Upper steps so far.
        used: Labels so far.
        slope: Norm of the last gradient of G.
    """

    rng: np.random.Generator
    nu: Float[np.ndarray, " k"]
    logits: Float[np.ndarray, "H S A"]
    mean: Float[np.ndarray, " k"]
    square: Float[np.ndarray, " k"]
    pairs: Int[np.ndarray, "n 2 H 2"]
    labels: Float[np.ndarray, " n"]
    t: int = 0
    used: int = 0
    slope: float = np.nan


def begin(mdp: TabularSoftMDP, nu: Any, rng: np.random.Generator) -> APARLState:
    """Return the state at a start.

    Raises:
        ShapeError: nu does not fit the reward.
        NotFinite: A NaN or an infinity.
    """
    start = parameters("nu", nu, mdp)
    logits = np.zeros((mdp.horizon, mdp.states, mdp.actions))
    pairs = np.zeros((0, 2, mdp.horizon, 2), dtype=np.int64)
    zero = np.zeros_like(start)
    return APARLState(rng, start, logits, zero, zero.copy(), pairs, np.zeros(0))


# -- the lower level -------------------------------------------------------------------------------


def lower_policy(
    mdp: TabularSoftMDP,
    reward: Float[np.ndarray, "S A"],
    settings: APARLSettings,
    state: APARLState,
) -> Float[np.ndarray, "H S A"]:
    """Return the agent's policy: the exact one, or after K steps from where the last ended."""
    spend(evaluations=1)
    for _ in range(settings.lower_steps or 0):
        policy = softmax(state.logits, axis=2)
        state.logits += settings.lower_lr * policy_gradient(mdp, reward, policy)
    return policy_now(mdp, reward, settings, state)


def policy_now(
    mdp: TabularSoftMDP,
    reward: Float[np.ndarray, "S A"],
    settings: APARLSettings,
    state: APARLState,
) -> Float[np.ndarray, "H S A"]:
    """Return the agent's policy as it stands, without a step of its own."""
    if settings.lower_steps is None:
        return mdp.respond(reward).policy
    return softmax(state.logits, axis=2)


def policy_gradient(
    mdp: TabularSoftMDP, reward: Float[np.ndarray, "S A"], policy: Float[np.ndarray, "H S A"]
) -> Float[np.ndarray, "H S A"]:
    """Return grad_theta V, entropy included, exactly: gamma^h P(s_h = s) pi (Q - V)."""
    found, value = np.empty_like(policy), np.zeros(mdp.states)
    for h in reversed(range(mdp.horizon)):
        surprise = mdp.tau * np.log(np.maximum(policy[h], 1e-300))
        q = reward - surprise + mdp.gamma * (mdp.moves @ value).reshape(reward.shape)
        value = (policy[h] * q).sum(axis=1)
        found[h] = policy[h] * (q - value[:, None])
    discounts = mdp.gamma ** np.arange(mdp.horizon)
    return found * (mdp.visits(policy) * discounts[:, None])[..., None]


# -- the upper level -------------------------------------------------------------------------------


def advance(
    mdp: TabularSoftMDP, upper: Feedback, settings: APARLSettings, state: APARLState
) -> None:
    """Make one upper step in place."""
    if isinstance(upper, PreferenceFeedback):
        n = affordable(settings.batch)
        policy = lower_policy(mdp, mdp.reward(state.nu), settings, state)
        pairs = draw_pairs(mdp, policy, n, state.rng)
        learn(mdp, settings, state, pairs, upper.labels(pairs, state.used), policy)
    elif not settings.distribution_term:
        # grad_nu U = 0: without the first term a utility says nothing
        move(settings, state, np.zeros_like(state.nu))
    elif settings.implicit == "exact":
        spend(evaluations=GRADIENT)
        _, slope, _ = design_gradient(mdp, state.nu, upper.table)
        move(settings, state, -slope)
    else:
        reward, pullback = mdp.reward_and_pullback(state.nu)
        policy = lower_policy(mdp, reward, settings, state)
        n = affordable(settings.batch)
        spend(env_steps=n * mdp.horizon)
        to_go = upper.to_go(episodes := mdp.rollout(policy, n, state.rng), mdp.gamma)
        weights = distribution_weights(
            mdp, policy, episodes, to_go, settings.implicit, settings.damping
        )
        state.used += n
        move(settings, state, pullback(weights))


def draw_pairs(
    mdp: TabularSoftMDP, policy: Float[np.ndarray, "H S A"], n: int, rng: np.random.Generator
) -> Int[np.ndarray, "n 2 H 2"]:
    """Return pairs of episodes under a policy, charging their steps."""
    spend(env_steps=2 * n * mdp.horizon)
    return mdp.rollout(policy, 2 * n, rng).reshape(n, 2, mdp.horizon, 2)


def learn(
    mdp: TabularSoftMDP,
    settings: APARLSettings,
    state: APARLState,
    pairs: Int[np.ndarray, "n 2 H 2"],
    labels: Float[np.ndarray, " n"],
    policy: Float[np.ndarray, "H S A"] | None = None,
) -> None:
    """Take labelled pairs, and make an upper step: term 2 from all labels so far, term 1 from
    these.

    Args:
        mdp: The lower level.
        settings: How nu moves.
        state: Changed in place.
        pairs: (n, 2, H, 2).
        labels: (n,).
        policy: The agent of now, from which the pairs were drawn; None where they came from another
            one, of which term 1 says nothing.
    """
    state.pairs = np.concatenate([state.pairs, pairs])
    state.labels = np.concatenate([state.labels, labels])
    state.used += len(labels)
    reward, pullback = mdp.reward_and_pullback(state.nu)
    weights = likelihood_weights(mdp, state.pairs, state.labels, reward)
    if settings.distribution_term and policy is not None and len(pairs) > 1:
        cost = likelihood(steps_of(mdp, pairs, reward), labels)
        # both episodes of a pair come from the agent: grad log p is the sum of both
        both = np.repeat(2 * cost, 2)[:, None] * np.ones(mdp.horizon)
        episodes = pairs.reshape(-1, mdp.horizon, 2)
        weights = weights + distribution_weights(
            mdp, policy, episodes, both, settings.implicit, settings.damping
        )
    move(settings, state, pullback(weights))


def move(settings: APARLSettings, state: APARLState, slope: Float[np.ndarray, " k"]) -> None:
    """Make a step against grad G, in place; slope: without grad Z."""
    slope = slope + 2 * settings.penalty * state.nu
    state.t, state.slope = state.t + 1, float(np.linalg.norm(slope))
    if settings.optimizer == "descent":
        state.nu = state.nu - settings.lr * slope
        return
    state.mean = 0.9 * state.mean + 0.1 * slope
    state.square = 0.999 * state.square + 0.001 * slope**2
    size = np.sqrt(state.square / (1 - 0.999**state.t)) + 1e-8
    state.nu = state.nu - settings.lr * state.mean / (1 - 0.9**state.t) / size


# -- on its own ------------------------------------------------------------------------------------


@dataclass(slots=True)
class APARLResult:
    """What A-PARL found.

    Attributes:
        nu: (k,) parameters of the reward.
        policy: (H, S, A) the agent's best policy for them.
        true_return: Expected utility of that policy, where the utility is a table; else NaN.
        n_feedback: Labels that were used.
        history: (steps,) norm of the gradient at each upper step.
        status: Why it ended.
    """

    nu: Float[np.ndarray, " k"]
    policy: Float[np.ndarray, "H S A"]
    true_return: float
    n_feedback: int
    history: Float[np.ndarray, " steps"] = field(repr=False)
    status: str = ""


class APARL:
    """A-PARL on a finite decision process.

    Args:
        lower: The agent and its world.
        upper: What the designer learns of episodes.
        iters: Upper steps.
        labels: Most labels to use; None for no limit.
        seed: From which episodes are drawn.
        settings: See `APARLSettings`.
        **given: Fields of the settings, by name.

    Raises:
        ArgumentError: implicit="exact" and feedback that is no table.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> P = rng.dirichlet(np.ones(4), (4, 2))
        >>> world = TabularSoftMDP(P, np.full(4, 0.25), rng.normal(size=(4, 2, 3)), horizon=5)
        >>> design = APARL(world, UtilityFeedback(rng.normal(size=(4, 2))), iters=300)
        >>> found = design.run(np.zeros(3))
        >>> found.status, round(found.true_return, 1)
        ('300 steps', 0.3)

    References:
        Chakraborty et al., ICLR 2024, arXiv 2308.02585, Algorithm 1.
    """

    def __init__(
        self,
        lower: TabularSoftMDP,
        upper: Feedback,
        iters: int = 300,
        labels: int | None = None,
        seed: int = 0,
        settings: APARLSettings | None = None,
        **given: Any,
    ):
        if not isinstance(lower, TabularSoftMDP):
            raise ArgumentTypeError(f"lower={lower!r:.60}: expected a TabularSoftMDP")
        self.settings = replace(settings, **given) if settings else chosen(upper, given)
        check_feedback(lower, upper, self.settings)
        self.lower, self.upper = lower, upper
        self.iters = whole("iters", iters, least=0, most=10**9)
        self.labels = None if labels is None else whole("labels", labels, least=1, note=", or None")
        self.seed = seed

    def run(self, nu: Any) -> APARLResult:
        """Return what it finds from a start.

        Args:
            nu: (k,) where to start.
        """
        state = begin(self.lower, nu, generator("seed", self.seed))
        history, status = [], f"{self.iters} steps"
        for _ in range(self.iters):
            if self.labels is not None and state.used + self.settings.batch > self.labels:
                status = f"labels used up: {state.used} of {self.labels}"
                break
            advance(self.lower, self.upper, self.settings, state)
            history.append(state.slope)
        policy = self.lower.respond(self.lower.reward(state.nu)).policy
        known = utility_table(self.upper)
        reached = np.nan if known is None else self.lower.expected(policy, known)
        return APARLResult(state.nu, policy, reached, state.used, np.array(history), status)


def chosen(upper: Feedback, given: dict[str, Any]) -> APARLSettings:
    """Return settings: those given, and from episodes where the feedback is no table."""
    if utility_table(upper) is None:
        given = {"implicit": "fisher", **given}
    return APARLSettings(**given)


def utility_table(upper: Feedback) -> Float[np.ndarray, "S A"] | None:
    """Return the table of a utility, None where there is none."""
    return upper.table if isinstance(upper, UtilityFeedback) else None


def check_feedback(mdp: TabularSoftMDP, upper: Feedback, settings: APARLSettings) -> None:
    """Raise where the settings ask for more than the feedback gives."""
    if not isinstance(upper, (UtilityFeedback, PreferenceFeedback)):
        raise ArgumentTypeError(
            f"upper={upper!r:.60}: expected a UtilityFeedback or a PreferenceFeedback"
        )
    known = utility_table(upper)
    if known is not None:
        table("utility", known, mdp)
    if settings.implicit == "exact" and (known is None or settings.lower_steps is not None):
        raise ArgumentError(
            "implicit='exact': expected a table of utilities and lower_steps=None; "
            "implicit='fisher' learns from episodes"
        )
