"""Dies as gymnasium environments: an action changes the design, a simulation measures it.

gym.make("feasible.physics.extrusion_die_rl.env:feasible/DieSplit-v0", strategy="direct")
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import gymnasium
import numpy as np
from gymnasium import spaces

from ...core.annotations import checked
from ...core.budget import spend
from ...core.checks import flag, floats, one_of, real, whole
from ...core.child import Child, ChildLost
from ...core.errors import ArgumentError, ArgumentTypeError, CheckpointError
from ..errors import InvalidShape, NotConverged, TimedOut
from .dies import CELLS, GRID, TOLERANCE, Die, channel_die, distance, split_die

if TYPE_CHECKING:
    from jaxtyping import Float
    from skfem import MeshTri

    Values = Float[np.ndarray, " k"]

Strategy = Literal["incremental", "direct", "incremental-continuous"]
MAX_STEPS = 50
REACHED, FAILED, LATE = 5.0, -10.0, -5.0
"""Rewards: the goal met, no flow, the last step made without it."""
TARGETS = (0.25, 0.65)
"""Shares that targets are drawn from."""
REDRAWS = 100
"""Most draws of a target that is not met at once."""
MEMO = 100_000
"""Designs that are kept."""


class DieEnv(gymnasium.Env[Any, Any]):
    """Change the design of a die until its flow is as wanted.

    An observation is the design, scaled to [0, 1], the measured quality, and for a die with a
    target the target. The reward is 5 where the goal is met, which ends the episode; else minus the
    error over the error at the start. A design without a flow (a mesh that turned over, a viscosity
    that did not converge) ends it with -10, and `info["reason"]`; so does a simulation that took
    too long, which truncates it. Where the last design is no better than the first one, the reason
    is "no progress".

    Each simulation is charged as an `evaluations` in a run, a remembered one too: it is the number
    of simulations that methods are compared by. `info["n_simulations"]` counts those of the
    episode, the start's included.

    Args:
        die: The die.
        strategy: "incremental", one of 2 k actions moves a variable a tenth of its range up or
            down; "direct", k numbers in [-1, 1] set all variables; "incremental-continuous", k
            numbers in [-1, 1] move them by up to a tenth.
        target: What the quality is to be, or "random", drawn at each reset; None: zeros.
        tolerance: Error below which the goal is met.
        random_start: Begin each episode at a random design that has a flow.
        late: Reward of the last step without the goal, besides.
        max_steps: Of an episode.
        memo: Remember designs on the grid.
        needed: False: an episode may begin with a goal that is met.
        timeout: Seconds for a simulation. With it they are made in a process of their own, which is
            killed, with all that it started, where it takes longer; it is charged all the same.

    Raises:
        ArgumentError: A strategy that is none, a tolerance out of range.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": ["rgb_array"], "render_fps": 4}

    def __init__(
        self,
        die: Die,
        strategy: Strategy = "incremental",
        target: Any = None,
        tolerance: float = TOLERANCE["split"],
        random_start: bool = False,
        late: float = 0.0,
        max_steps: int = MAX_STEPS,
        memo: bool = True,
        needed: bool = True,
        render_mode: str | None = None,
        timeout: float | None = None,
    ):
        self.strategy = one_of(
            "strategy", strategy, ("incremental", "direct", "incremental-continuous")
        )
        if not isinstance(die, Die):
            raise ArgumentTypeError(f"die={die!r:.60}: expected a Die, such as split_die()")
        self.die, self.given = die, target
        self.tolerance = real("tolerance", tolerance, above=0)
        self.late = real("late", late)
        self.max_steps = whole("max_steps", max_steps, least=1)
        self.random_start = flag("random_start", random_start)
        self.memo, self.needed = flag("memo", memo), flag("needed", needed)
        self.timeout = None if timeout is None else real("timeout", timeout, above=0)
        self._child: Child | None = None
        if render_mode is not None:
            one_of("render_mode", render_mode, ("rgb_array",), note=", or None")
        self.render_mode = render_mode
        self.spend = spend
        self._known: dict[tuple[int, ...], Values] = {}
        k, m = die.k, len(die.undeformed)
        aimed = 0 if target is None else m
        self.observation_space = spaces.Box(-1.0, 1.0, (k + m + aimed,), np.float32)
        if self.strategy == "incremental":
            self.action_space: Any = spaces.Discrete(2 * k)
        else:
            self.action_space = spaces.Box(-1.0, 1.0, (k,), np.float32)
        if target is not None and not isinstance(target, str):
            self._read_target(target)
        elif target is not None:
            one_of("target", target, ("random",), note=", or a number")
        self.values = die.start.copy()
        self.quality = die.undeformed.copy()
        self.target = np.zeros(m)
        self.steps = self.n_simulations = 0
        self.first = 1.0

    @property
    def mesh(self) -> MeshTri:
        """The mesh of the present design."""
        from dataclasses import replace

        points = self.die.points(self.values)
        return replace(self.die.solver.mesh, doflocs=np.ascontiguousarray(points.T))

    @property
    def error(self) -> float:
        """How far the quality is from what is wanted."""
        return distance(self.quality - self.target)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Of the episode's draws.
            options: "target", what the quality is to be; "start", (k,) the design to begin with.
        """
        super().reset(seed=seed)
        options = options or {}
        unknown = set(options) - {"target", "start"}
        if unknown:
            raise ArgumentError(f"options: {sorted(unknown)} are none; expected target, start")
        self.steps = 0
        drawn = isinstance(self.given, str) or (self.random_start and "start" not in options)
        again = self.needed and drawn and "target" not in options
        for left in reversed(range(REDRAWS if again else 1)):
            try:
                self._begin(options)
            except (InvalidShape, NotConverged):  # of a design that was drawn: another one
                if not left or not self.random_start or "start" in options:
                    raise
                continue
            if self.error >= self.tolerance:
                break
        self.first = max(self.error, self.tolerance)
        return self._observation(), self._info()

    def _begin(self, options: dict[str, Any]) -> None:
        """Choose the design and the target, and measure."""
        die = self.die
        if "start" in options:
            start = die.read(options["start"])
        elif self.random_start:
            start = die.drawn(self.np_random)
        else:
            start = die.start.copy()
        if "target" in options:
            self.target = self._read_target(options["target"])
        elif isinstance(self.given, str):
            self.target = np.array([self.np_random.uniform(*TARGETS)])
        elif self.given is not None:
            self.target = self._read_target(self.given)
        self.n_simulations = 0
        self.values = start
        self.quality = self._measure(start)

    def _read_target(self, given: Any) -> Values:
        """A target as numbers."""
        found = np.atleast_1d(floats("target", given))
        if found.shape != self.die.undeformed.shape or not np.isfinite(found).all():
            raise ArgumentError(
                f"target={given!r:.40}: expected {len(self.die.undeformed)} numbers"
            )
        return found

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Change the design, and simulate."""
        self.steps += 1
        die, before = self.die, self.values
        self.values = np.clip(self._moved(action), die.low, die.high)
        last = self.steps >= self.max_steps
        try:
            self.quality = self._measure(self.values)
        except (InvalidShape, NotConverged) as error:
            self.values = before
            info = self._info() | {"reason": f"{type(error).__name__}: {error}"}
            late = isinstance(error, TimedOut)
            return self._observation(), FAILED, not late, late, info
        met = self.error < self.tolerance
        reward = REACHED if met else -self.error / self.first
        if last and not met:
            reward += self.late
        info = self._info()
        if last and not met and self.error >= self.first:
            info["reason"] = (
                f"no progress: after {self.steps} steps the error is {self.error:.4g}, "
                f"{self.first:.4g} at the start"
            )
        return self._observation(), float(reward), met, last and not met, info

    def _moved(self, action: Any) -> Values:
        """The design that an action makes, before it is cut to its bounds."""
        die = self.die
        span = die.high - die.low
        if self.strategy == "incremental":
            j, way = divmod(int(action), 2)
            found = self.values.copy()
            found[j] += span[j] / GRID if way == 0 else -span[j] / GRID
            return found
        share = np.clip(np.asarray(action, dtype=float), -1, 1)
        if self.strategy == "direct":
            return die.low + (share + 1) / 2 * span
        return self.values + share * span / GRID

    def _measure(self, values: Values) -> Values:
        """Simulate a design, or remember it; charged either way."""
        self.spend(evaluations=1)
        self.n_simulations += 1
        place = (values - self.die.low) / (self.die.high - self.die.low) * GRID
        key = tuple(np.rint(place).astype(int).tolist())
        if not self.memo or np.abs(place - np.rint(place)).max() > 1e-9:
            return self._simulate(values)
        if key not in self._known:
            if len(self._known) >= MEMO:
                self._known.clear()
            self._known[key] = self._simulate(values)
        return self._known[key].copy()

    def _simulate(self, values: Values) -> Values:
        """Simulate a design, here or, within a time, in a process of its own."""
        if self.timeout is None:
            return self.die.quality(values)
        if self._child is None:
            self._child = Child(self.die.quality, self.timeout)
        try:
            return np.asarray(self._child.ask(values))
        except ChildLost as lost:
            self._child = None
            raise TimedOut(f"the simulation of {values.tolist()}: {lost}") from None

    def close(self) -> None:
        """End the process of the simulations, where there is one."""
        if self._child is not None:
            self._child.close()
            self._child = None

    def _observation(self) -> Any:
        """Design, quality, target."""
        share = (self.values - self.die.low) / (self.die.high - self.die.low)
        parts = [share, self.quality, *([self.target] if self.given is not None else [])]
        return np.clip(np.concatenate(parts), -1, 1).astype(np.float32)

    def _info(self) -> dict[str, Any]:
        """What is known beside the observation."""
        named = {"split": float(self.quality[0])} if len(self.quality) == 1 else {}
        return {
            **named,
            "quality": self.quality.copy(),
            "error": self.error,
            "n_simulations": self.n_simulations,
            "values": self.values.copy(),
        }

    # -- saved and put back ------------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        """All that an episode is, as plain data and arrays."""
        bits = self.np_random.bit_generator.state
        return {
            "values": self.values.copy(),
            "quality": self.quality.copy(),
            "target": self.target.copy(),
            "steps": self.steps,
            "n_simulations": self.n_simulations,
            "first": self.first,
            "bits": bits,
        }

    def restore(self, saved: dict[str, Any]) -> Any:
        """Go on from what `save` returned, and return the observation."""
        if not isinstance(saved, dict) or set(saved) != set(self.save()):
            raise CheckpointError("saved: expected what save() returned")
        self.values, self.quality = saved["values"].copy(), saved["quality"].copy()
        self.target, self.first = saved["target"].copy(), saved["first"]
        self.steps, self.n_simulations = saved["steps"], saved["n_simulations"]
        self.np_random.bit_generator.state = saved["bits"]
        return self._observation()

    def render(self) -> Any:
        """(height, width, 3) the die with its flow, as a picture."""
        from .pictures import drawn

        return drawn(self.die, self.values) if self.render_mode == "rgb_array" else None


@checked
def die_split(
    strategy: Strategy = "incremental",
    target: Any = "random",
    h: int = 2,
    viscosity: Any = "newtonian",
    moves: Literal["top", "both"] = "top",
    tolerance: float = TOLERANCE["split"],
    random_start: bool = False,
    late: float = 0.0,
    memo: bool = True,
    max_steps: int = MAX_STEPS,
    needed: bool = True,
    render_mode: str | None = None,
    timeout: float | None = None,
) -> DieEnv:
    """The die with two outlets as an environment; see `DieEnv` and `split_die`."""
    die = split_die(h, viscosity, moves)
    return DieEnv(
        die,
        strategy,
        target,
        tolerance,
        random_start,
        late,
        max_steps,
        memo,
        needed,
        render_mode,
        timeout,
    )


@checked
def die_channel(
    strategy: Strategy = "incremental",
    cells: tuple[int, int] = CELLS,
    viscosity: Any = "newtonian",
    tolerance: float = TOLERANCE["channel"],
    random_start: bool = True,
    late: float = 0.0,
    memo: bool = True,
    max_steps: int = MAX_STEPS,
    render_mode: str | None = None,
    timeout: float | None = None,
) -> DieEnv:
    """The channel with three patches as an environment; see `DieEnv` and `channel_die`."""
    die = channel_die(cells, viscosity)
    return DieEnv(
        die,
        strategy,
        None,
        tolerance,
        random_start,
        late,
        max_steps,
        memo,
        True,
        render_mode,
        timeout,
    )


DIES: dict[str, Callable[..., DieEnv]] = {"split": die_split, "channel": die_channel}
"""Kind of die -> what makes its environment."""
for _kind, _made in DIES.items():
    if f"feasible/Die{_kind.title()}-v0" not in gymnasium.registry:
        gymnasium.register(f"feasible/Die{_kind.title()}-v0", _made)
