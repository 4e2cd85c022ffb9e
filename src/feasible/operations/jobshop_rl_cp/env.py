"""CPSchedulingEnv: the paper's environment for Gymnasium."""

from __future__ import annotations

from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces

from ...core.checks import one_of
from ...core.errors import ArgumentError, ArgumentTypeError
from ..jobshop import JobShop
from ..schedule import Schedule
from .compiled import WINDOW
from .plays import Copies
from .sampling import check_dates


class CPSchedulingEnv(gymnasium.Env[dict[str, np.ndarray], int]):
    """Schedule a job shop in the order of time.

    At the current time t, the earliest at which some job's next operation can begin, an action
    begins one of the operations that can begin at t, or waits (the no-op, the last action): then no
    next operation begins before the second earliest time at which one could. An episode ends when
    all operations have begun. There is no reward but the last: minus the makespan. Every sequence
    of legal actions ends with a schedule that keeps all rules.

    The observation shows, for each job, a window of five operations from the last that has begun:

        features (n, 5, 4)  begun, lower bound of the start (standardised), duration (standardised),
                            may begin now
        kind (n, 5)         0 an operation, 1 before the first, 2 after the last
        place (n, 5)        number of the operation in its job
        hidden (n, 5)       tokens that carry nothing
        rivals (n, n)       jobs that may begin now on the same machine, and the diagonal
        legal (n + 1)       the action mask; also in `info["action_mask"]`

    Args:
        shop: The shop, without due dates.
        mask_invalid: What an illegal action does: "raise", or "ignore", which leaves everything as
            it is.

    Raises:
        UnsupportedConstraint: The shop has due dates.

    Example:
        >>> from feasible.operations import CPSchedulingEnv, benchmark
        >>> env = CPSchedulingEnv(benchmark("ft06"))
        >>> seen, info = env.reset(seed=0)
        >>> info["action_mask"].tolist()
        [True, True, True, True, True, True, False]

    References:
        Tassel, Gebser, Schekotihin (2023), arXiv 2306.05747, section on the environment.
    """

    metadata: ClassVar[dict[str, Any]] = {"render_modes": []}

    def __init__(self, shop: JobShop, mask_invalid: str = "raise") -> None:
        if not isinstance(shop, JobShop):
            raise ArgumentTypeError(f"shop={shop!r:.60}: expected a JobShop")
        check_dates(shop)
        self.shop = shop
        self.mask_invalid = one_of("mask_invalid", mask_invalid, ("raise", "ignore"))
        self.copies = Copies([shop], [0])
        n = shop.shape[0]
        longest = int(np.diff(shop.routes.first).max())
        self.action_space = spaces.Discrete(n + 1)
        self.observation_space = spaces.Dict(
            {
                "features": spaces.Box(-np.inf, np.inf, (n, WINDOW, 4), np.float32),
                "kind": spaces.Box(0, 2, (n, WINDOW), np.int64),
                "place": spaces.Box(0, longest, (n, WINDOW), np.int64),
                "hidden": spaces.MultiBinary((n, WINDOW)),
                "rivals": spaces.MultiBinary((n, n)),
                "legal": spaces.MultiBinary(n + 1),
            }
        )

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin anew. Nothing is random in it."""
        super().reset(seed=seed, options=options)
        self.copies.reset()
        return self._seen()

    def step(self, action: int) -> tuple[dict[str, np.ndarray], float, bool, bool, dict[str, Any]]:
        """Take one action.

        Args:
            action: A job's number, or the number of jobs for the no-op.

        Raises:
            ArgumentError: It is not legal now, and `mask_invalid` is "raise".
        """
        if not self.action_space.contains(np.int64(action) if isinstance(action, int) else action):
            raise ArgumentError(f"action={action!r:.40}: expected 0 to {self.copies.n}")
        played = self.copies.play(np.array([[int(action)]]))
        if not played[0] and self.mask_invalid == "raise":
            legal = np.flatnonzero(self.copies.observe().legal[0]).tolist()
            raise ArgumentError(f"action={int(action)} is not legal now: expected one of {legal}")
        seen, info = self._seen()
        ended = not self.copies.running[0]
        makespan = float(self.copies.makespans[0]) * float(self.shop.resolution or 1.0)
        return seen, -makespan if ended else 0.0, ended, False, info

    def schedule(self) -> Schedule:
        """The schedule of an episode that has ended.

        Raises:
            ArgumentError: Operations are left.
        """
        if self.copies.running[0]:
            raise ArgumentError("schedule: the episode has not ended, operations are left")
        return self.shop.schedule(self.copies.starts(0))

    def _seen(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Return observation and info."""
        seen = self.copies.observe()
        group, legal = seen.group[0], seen.legal[0]
        observation = {
            "features": seen.features[0],
            "kind": seen.kind[0],
            "place": seen.place[0],
            "hidden": seen.hidden[0].astype(np.int8),
            "rivals": (group[:, None] == group).astype(np.int8),
            "legal": legal.astype(np.int8),
        }
        now = float(self.copies.plays.now[0]) * float(self.shop.resolution or 1.0)
        return observation, {"action_mask": legal.copy(), "time": now}
