"""Control: a gymnasium environment, or a mo-gymnasium one, as a problem.

    maximise  E[sum of gamma^t r_t]   subject to   E[sum of gamma^t c_t] within limits by name

The judge plays the policy on episodes whose seeds are the same for all policies.
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..core.annotations import Checked
from ..core.cached import Cached
from ..core.checkpoint import encode
from ..core.checks import flag, fraction, real, shown, whole
from ..core.errors import (
    ArgumentError,
    ArgumentTypeError,
    MissingExtra,
    NotFinite,
    ShapeError,
    UnknownName,
    nearest,
)
from ..core.extras import missing, named
from ..core.front import Front, front_verdict, hypervolume
from ..core.limits import Limits, read_limits
from ..core.verdict import Verdict
from .answers import PolicyFront, write_policy
from .copies import Copies, episode_seed
from .decisions import Decisions, check_policy
from .errors import NotANumber
from .spaces import Spaces
from .world import Place, World, finite

if TYPE_CHECKING:
    from jaxtyping import Float, Int

TRAIL, FINAL = 5, 50
"""Episodes of a point of the trail, and of a run's answer."""
MOST, COPIES = 100_000, 1024
"""Most episodes of a judgement, and most copies."""
TOGETHER = 10
"""Environments that the judge plays at once."""
OUTLIVES = ("BipedalWalker",)
"""Its world of Box2D is kept over resets, so that contacts come in another order."""
DRAWS = ("minecart",)
"""Its ore is drawn from NumPy's global stream."""
JUDGE = 2_000_003
"""Key of the judge's episodes; those of a run's answer have the next one."""


@dataclass(frozen=True)
class Played:
    """Episodes that a policy was judged on.

    Attributes:
        returns: (e, m) summed rewards.
        costs: (e, c) summed costs.
        lengths: (e,) steps.
        cut: (e,) True where the episode was cut and would have gone on.
    """

    returns: Float[np.ndarray, "e m"]
    costs: Float[np.ndarray, "e c"]
    lengths: Int[np.ndarray, " e"]
    cut: np.ndarray


@dataclass(eq=False)
class Control(Cached, Decisions, Checked):
    """Find a policy for a gymnasium environment.

    An answer is a policy with `act(obs, rng)`, such as a `NetworkPolicy`; where the reward is a
    vector, a `PolicyFront`. A policy is judged by the mean return over episodes whose seeds are
    the same for all policies: a few for a point of the trail, more, on other seeds, for a run's
    answer. Neither is charged. The first metric is the mean return, with a 95 % interval.

    Attributes:
        env: An id such as "CartPole-v1" (also of mo-gymnasium), a function that makes an
            environment, or an environment, of which copies are made.
        options: Keywords of the environment.
        limits: Limits on expected summed costs by name, such as {"cost": "<= 25"}. A cost is what
            the environment's info holds under its name after each step.
        costs: Where it is not there, a function of (observation after the step, action, info).
        reference: (m,) returns that are worse than all that is worth having, for a reward of m
            entries.
        discount: gamma of the sums that are judged.
        stochastic: Policies are judged as they draw; else by their most likely actions.
        episodes: Episodes of a point of the trail.
        final_episodes: Episodes of a run's answer.
        max_steps: Steps after which an episode is cut, where the environment does not do so.
        fresh: The environment is made anew for every episode, where something of it outlives its
            reset: only then does a resumed run equal the uninterrupted one. None: where that is
            known of it.
        own_streams: It draws from NumPy's and Python's global random streams, so each copy gets
            them for itself. None: where that is known of it.
        timeout: Seconds for one step; each environment is then in a process of its own, which may
            hang or die.
        name: What it is called; by default the id.

    Raises:
        UnknownName: There is no environment of that id.
        ArgumentError: A setting out of its range, a reward of several entries without a reference.
        ArgumentTypeError: Spaces that are not taken.
        EnvironmentFailed: The environment cannot be made.

    Examples:
        >>> cart = Control("CartPole-v1")
        >>> cart.spaces.features, cart.spaces.actions
        (4, 2)
    """

    env: Any
    options: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Any] | None = None
    costs: Mapping[str, Any] | None = None
    reference: Any = None
    discount: float = 1.0
    stochastic: bool = False
    episodes: int = TRAIL
    final_episodes: int = FINAL
    max_steps: int = 10_000
    fresh: bool | None = None
    own_streams: bool | None = None
    timeout: float | None = None
    name: str = ""

    trail_growth: float = 1.5
    endings: ClassVar[tuple[str, ...]] = (".json", ".safetensors")

    def __post_init__(self) -> None:
        fraction("discount", self.discount, zero=False)
        flag("stochastic", self.stochastic)
        whole("max_steps", self.max_steps, least=1)
        for name in ("episodes", "final_episodes"):
            whole(name, getattr(self, name), least=1, most=MOST)
        if self.timeout is not None:
            real("timeout", self.timeout, above=0, most=86_400)
        self.limited = Limits(read_limits(self.limits))
        functions = dict(self.costs or {})
        for name, function in functions.items():
            if name not in self.limited.names:
                raise ArgumentError(f"costs: {name!r} has no limit")
            if not callable(function):
                raise ArgumentTypeError(
                    f"costs[{name!r}]={shown(function)}: expected a function of (obs, action, info)"
                )
        make = maker(self.env, self.options)
        known = _called(self.env)
        self.name = self.name or known
        self.world = World(
            self.name,
            make,
            [(name, functions.get(name)) for name in self.limited.names],
            self.max_steps,
            known.startswith(OUTLIVES) if self.fresh is None else self.fresh,
            known.startswith(DRAWS) if self.own_streams is None else self.own_streams,
            self.timeout,
        )
        self._places: list[Place] = [self.world.place()]
        self.spaces: Spaces = self._places[0].spaces
        self.several = self.spaces.rewards > 0
        self._corner()

    def _corner(self) -> None:
        """Check the reference point."""
        m = self.spaces.rewards
        if not m and self.reference is not None:
            raise ArgumentError("reference: the reward is a number, which needs none")
        if m and self.reference is None:
            raise ArgumentError(
                f"reference=None: '{self.name}' has {m} rewards, expected as many returns that are "
                "worse than all that is worth having"
            )
        if m:
            self.reference = np.asarray(self.reference, dtype=float)
            if self.reference.shape != (m,):
                raise ShapeError(
                    f"reference has shape {self.reference.shape}, expected ({m},), one a reward"
                )
            if not np.isfinite(self.reference).all():
                raise NotFinite(f"reference={shown(self.reference)}: expected finite numbers")

    def open(self, n: int, key: int) -> Copies:
        """Copies to learn from, whose transitions are charged as `env_steps`.

        Args:
            n: How many.
            key: From which the seed of every episode derives.
        """
        return Copies.opened(
            self.world, whole("n", n, least=1, most=COPIES), whole("key", key, least=0)
        )

    # -- judging -----------------------------------------------------------------------------------

    def play(self, policy: Any, episodes: int, key: int = JUDGE) -> Played:
        """Play episodes, uncharged: the same ones for every policy.

        Args:
            policy: With `act(obs, rng)`, and, to be quick, `acts(obs, rng)` of several.
            episodes: How many.
            key: From which their seeds derive.

        Raises:
            ArgumentError: The policy is for other spaces.
            EnvironmentFailed: The environment raised, or returned what it must not.
        """
        check_policy(policy, self.spaces)
        whole("episodes", episodes, least=1, most=MOST)
        whole("key", key, least=0)
        m, c = self.spaces.rewards or 1, len(self.world.costs)
        found = Played(
            np.zeros((episodes, m)),
            np.zeros((episodes, c)),
            np.zeros(episodes, dtype=np.int64),
            np.zeros(episodes, dtype=bool),
        )
        waiting = iter(range(episodes))
        going: list[list[Any]] = []  # (episode, place, observation, stream)

        def begin(place: Place) -> None:
            e = next(waiting, None)
            if e is not None:
                obs = place.reset(episode_seed(key, 0, e), f"the judge's episode {e}")
                rng = np.random.default_rng([key, e]) if self.stochastic else None
                going.append([e, place, np.array(obs), rng])

        while len(self._places) < min(episodes, TOGETHER):
            self._places.append(self.world.place())
        for place in self._places[:episodes]:
            begin(place)
        while going:
            rows = self._chosen(policy, going)
            for row, one in zip(rows, list(going), strict=True):
                e, place = one[:2]
                obs, reward, terminated, truncated, cost = place.move(row)
                if not finite(obs, reward, cost):
                    raise NotANumber(
                        f"environment '{self.name}', the judge's episode {e}, step "
                        f"{found.lengths[e] + 1}: a number is not finite"
                    )
                factor = self.discount ** int(found.lengths[e])
                found.returns[e] += factor * np.asarray(reward)
                found.costs[e] += factor * cost
                found.lengths[e] += 1
                if terminated or truncated:
                    found.cut[e] = truncated and not terminated
                    going.remove(one)
                    begin(place)
                else:
                    one[2] = np.array(obs)
        return found

    def _chosen(self, policy: Any, going: Sequence[Sequence[Any]]) -> np.ndarray:
        """Return the policy's actions for the episodes that are going on, one row each."""
        if hasattr(policy, "acts") and not self.stochastic:
            return policy.acts(np.stack([one[2] for one in going]), None)
        return self.spaces.rows([policy.act(obs, rng) for _, _, obs, rng in going])

    def judge(self, answer: Any) -> Verdict:
        """The mean return and costs over a few episodes."""
        return self._judged(answer, self.episodes, JUDGE)

    def confirm(self, answer: Any, verdict: Verdict) -> Verdict:
        """The same over more episodes, by whose outcome nobody has chosen."""
        return self._judged(answer, self.final_episodes, JUDGE + 1)

    def _judged(self, answer: Any, episodes: int, key: int) -> Verdict:
        if answer is None:
            return Verdict(math.nan, math.inf)
        if self.several:
            return self._front(answer, episodes, key)
        found = self.play(answer, episodes, key)
        mean, half = interval(found.returns[:, 0])
        metrics = {"return": mean, "low": mean - half, "high": mean + half} | self._figures(found)
        violations = self._violations(found)
        worst = max(violations.values(), default=0.0)
        return Verdict(-mean, worst, self.tolerance, violations=violations, metrics=metrics)

    def _front(self, answer: Any, episodes: int, key: int) -> Verdict:
        """The hypervolume of a front whose policies are played anew."""
        if not isinstance(answer, PolicyFront):
            answer = PolicyFront.of([answer], np.zeros((1, self.spaces.rewards)))
        if not len(answer):
            return Verdict(math.nan, math.inf)
        played = [self._member(policy, episodes, key) for policy in answer.policies]
        returns, worst = np.stack([r for r, _ in played]), [v for _, v in played]
        rows = np.arange(len(played), dtype=float)[:, None]
        found = front_verdict(Front.of(rows, -returns, worst), -self.reference, self.tolerance)
        if np.isnan(answer.returns).any():
            return found
        told = hypervolume(-answer.returns, -self.reference)
        return replace(found, metrics={**found.metrics, "hypervolume_told": told})

    def _member(
        self, policy: Any, episodes: int, key: int
    ) -> tuple[Float[np.ndarray, " m"], float]:
        """Mean returns of a policy of a front, and its largest violation; kept, because the next
        front has most of its policies too.
        """
        known = self.cached(("played", episodes, key), dict)
        digest = hashlib.blake2b(encode(policy)).digest()
        if digest not in known:
            found = self.play(policy, episodes, key)
            worst = max(self._violations(found).values(), default=0.0)
            known[digest] = found.returns.mean(axis=0), worst
        kept: tuple[Float[np.ndarray, " m"], float] = known[digest]
        return kept

    def _figures(self, found: Played) -> dict[str, float]:
        """Return what else is worth knowing of episodes."""
        costs = found.costs.mean(axis=0)
        return {
            "episodes": float(len(found.lengths)),
            "length": float(found.lengths.mean()),
            "cut": float(found.cut.mean()),
            **dict(zip(self.limited.names, costs.tolist(), strict=True)),
        }

    def _violations(self, found: Played) -> dict[str, float]:
        """Return by how much mean costs are over their limits, relative to these."""
        if not self.limited.limits:
            return {}
        return self.limited.violations(self.limited.signed(found.costs.mean(axis=0)[None])[0])

    # -- how it is shown ---------------------------------------------------------------------------

    def write(self, answer: Any, path: str) -> None:
        """Write a policy to a file that `read_policy` reads."""
        write_policy(answer, path)

    def outline(self) -> list[str]:
        """Its spaces and limits."""
        limits = [f"expected summed {q.name} {q.text}" for q in self.limited.limits]
        return [str(self.spaces), *limits]

    def fingerprint(self) -> dict[str, Any]:
        """The environment by name, its spaces, and what is judged."""
        return {
            "environment": [self.name, str(self.spaces), sorted(map(str, self.options.items()))],
            "discount": self.discount,
            "limits": {q.name: q.text for q in self.limited.limits},
            "reference": None if self.reference is None else self.reference.tolist(),
        }

    def sources(self) -> dict[str, Any]:
        """The function or class of the environment, and of its costs."""
        env = self.env if callable(self.env) else type(self)
        return {"environment": env, **dict(self.costs or {})}


def interval(values: Float[np.ndarray, " e"]) -> tuple[float, float]:
    """The mean, and half of its 95 % interval by Student's t; 0 for one value."""
    from scipy.stats import t

    n = len(values)
    if n < 2:
        return float(values.mean()), 0.0
    half = t.ppf(0.975, n - 1) * values.std(ddof=1) / math.sqrt(n)
    return float(values.mean()), float(half)


def maker(env: Any, options: Mapping[str, Any]) -> Callable[[], Any]:
    """A function that makes an environment anew.

    Args:
        env: An id, a function, or an environment.
        options: Keywords.

    Raises:
        UnknownName: No environment has the id.
        ArgumentTypeError: It is none of these.
    """
    with named("Control", "policies"):
        import gymnasium
    if isinstance(env, str):
        _known(env, gymnasium)
        return lambda: _made(gymnasium, env, options)
    if isinstance(env, gymnasium.Env):
        if options:
            raise ArgumentError("options: an environment that was made takes none")
        if env.spec is not None:
            spec = env.spec
            return lambda: gymnasium.make(spec)
        pristine = copy.deepcopy(env)
        return lambda: copy.deepcopy(pristine)
    if not callable(env):
        raise ArgumentTypeError(
            f"env={shown(env)}: expected an id, a function that makes an environment, or one"
        )

    def made() -> Any:
        found = env(**options)
        if not isinstance(found, gymnasium.Env):
            raise ArgumentTypeError(
                f"env: it made a {type(found).__name__}, expected a gymnasium.Env"
            )
        return found

    return made


def _known(env: str, gymnasium: Any) -> None:
    """Raise UnknownName where no environment has this id."""
    if env not in gymnasium.registry:
        with suppress(ModuleNotFoundError):
            import mo_gymnasium  # noqa: F401  registers its own
    if env not in gymnasium.registry and ":" not in env:
        raise UnknownName(f"env={env!r:.60}: {nearest(env, gymnasium.registry)}")


def _made(gymnasium: Any, env: str, options: Mapping[str, Any]) -> Any:
    """Make an environment of an id."""
    try:
        spec = copy.deepcopy(gymnasium.spec(env))
        spec.order_enforce = False  # no step is made before a reset
        return gymnasium.make(spec, disable_env_checker=True, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        cause = error.__cause__
        said = (
            missing(cause, f"'{env}'", "environments")
            if isinstance(cause, ModuleNotFoundError)
            else None
        )
        raise said or MissingExtra(f"'{env}': {error}") from error
    except TypeError as error:
        if options:
            raise ArgumentError(f"options={shown(options)}: {error}") from error
        raise


def _called(env: Any) -> str:
    """Return a name for an environment."""
    if isinstance(env, str):
        return env
    spec = getattr(env, "spec", None)
    return spec.id if spec is not None else getattr(env, "__name__", type(env).__name__)
