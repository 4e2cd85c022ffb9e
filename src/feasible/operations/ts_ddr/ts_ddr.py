"""TS-DDR: a policy that points at states, trained by the duals of reaching them.

    minimise over theta  E_w Q(w; x_hat(theta, w))

A step draws paths, lets the network point (fed with its own previous target, or with the state that
was reached), solves each path's program, and sends lambda_t = dQ / d x_hat_t back through the
network. What counts is the rollout: the policy acts stage by stage and the coupled program's
optimism is gone.

Use it where cuts do not hold (coefficients that depend on the state, noise that depends on the
past), or where one policy is to be trained once and act for long; on convex problems with
independent stages SDDP costs less and says how good it is.

References:
    Rosemberg, Street, Valladão, Van Hentenryck, arXiv 2405.14973 (2024).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ...core.annotations import checked
from ...core.budget import spend
from ...core.checks import seed as as_seed, whole
from ...core.errors import WrongProblem
from ...core.problem import Method
from ..multistage import MultistageLP
from ..networks import NetworkTargets
from ..reach import Reach
from ..rollout import Rollout
from .network import Pointer
from .projection import Programs, Project, Within
from .settings import TSDDRSettings

if TYPE_CHECKING:
    from jaxtyping import Float


class SolvesFailed(UserWarning):
    """Programs without a solution: their paths gave no gradient."""


@dataclass
class TSDDRState:
    """What changes from step to step.

    Attributes:
        rng: The random stream of paths and perturbations.
        net: The network.
        optimizer: Adam.
        steps: Steps taken.
        failed: Paths that were left out because a program had no solution.
        loss: Mean of the last step's programs.
    """

    rng: np.random.Generator
    net: Pointer
    optimizer: torch.optim.Adam
    steps: int = 0
    failed: int = 0
    loss: float = float("nan")


@dataclass(frozen=True)
class TSDDRFit:
    """What `TSDDR.fit` returns.

    Attributes:
        policy: The network's weights, as a policy.
        losses: Mean of each step's programs, cost and penalty together.
        failed: Paths that were left out because a program had no solution.
        problem: What it was trained on.
    """

    policy: NetworkTargets
    losses: Float[np.ndarray, " steps"]
    failed: int
    problem: MultistageLP = field(repr=False)

    def act(
        self, t: int, w_hist: Float[np.ndarray, "t1 d"], state: Float[np.ndarray, " k"]
    ) -> Float[np.ndarray, " k"]:
        """Return the state to aim at.

        Args:
            t: Number of the stage.
            w_hist: (t + 1, d) noise up to this stage, or (d,) this stage's alone, which is all that
                a network without memory reads.
            state: (k,) the state before.
        """
        pointing: Any = self.policy.on(self.problem)
        history = np.atleast_2d(w_hist)
        for i, w in enumerate(history[:-1]):
            pointing.see(i, w)
        return pointing.point(t, history[-1], np.asarray(state, dtype=float))

    def rollout(self, paths: Any = None) -> Rollout:
        """Play the policy; see `MultistageLP.simulate`."""
        return self.problem.simulate(self.policy, paths)


@dataclass(frozen=True)
class TSDDR(TSDDRSettings, Method):
    """TS-DDR as a method of a run; see TSDDRSettings. A step is one of Adam.

    Example:
        >>> from feasible.operations import hydrothermal_ht3
        >>> found = TSDDR().fit(hydrothermal_ht3(T=3, N=3), n_iter=5)
        >>> found.act(0, [18.0, 6.0, 12.0], [75.0, 30.0, 50.0]).shape
        (3,)
    """

    solves: ClassVar[type[MultistageLP]] = MultistageLP
    name: ClassVar[str] = "ts-ddr"
    requires: ClassVar[tuple[str, ...]] = ("torch", "highspy")

    def check_problem(self, problem: Any) -> None:
        """Raise WrongProblem where its solver cannot follow what depends on the state."""
        super().check_problem(problem)
        if self.solver == "clarabel" and not problem.convex:
            raise WrongProblem(
                f"solver='clarabel': coefficients of '{problem.name}' depend on the state: "
                "expected solver='highs'"
            )

    @checked
    def fit(
        self,
        problem: MultistageLP,
        sampler: Callable[[int, np.random.Generator], Any] | None = None,
        n_iter: int | None = None,
        batch: int | None = None,
        seed: int = 0,
    ) -> TSDDRFit:
        """Train on a problem, outside a run.

        Args:
            problem: The problem.
            sampler: (n, rng) -> (n, T, d) paths; None: the problem's.
            n_iter: Steps; None: as the settings say.
            batch: Paths of a step; None: as the settings say.
            seed: Of the weights and the paths.
        """
        for name, value in (("n_iter", n_iter), ("batch", batch)):
            if value is not None:
                whole(name, value, least=1)
        method = replace(
            self,
            iterations=self.iterations if n_iter is None else n_iter,
            batch=self.batch if batch is None else batch,
        )
        if sampler is not None:
            problem = replace(problem, sampler=sampler, stages=problem.own_stages)
        method.check_problem(problem)
        state = method.init(problem, np.random.default_rng(as_seed("seed", seed)))
        losses = []
        while method.done(problem, state) is None:
            state = method.step(problem, state)
            losses.append(state.loss)
        return TSDDRFit(method.answer(problem, state), np.array(losses), state.failed, problem)

    def init(self, problem: MultistageLP, rng: np.random.Generator) -> TSDDRState:
        """Draw the weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(rng.integers(2**31)))
            net = Pointer(problem, self)
        return TSDDRState(rng, net, torch.optim.Adam(net.parameters(), lr=self.lr))

    def step(self, problem: MultistageLP, state: TSDDRState) -> TSDDRState:
        """Draw paths, point, solve, and take a step of Adam."""
        k, scored = state.steps, 1.0 - self.dual_weight(state.steps)
        spend(stage_problems=self.batch * problem.T * (1 + self.samples * (scored > 0)))
        programs: Programs = problem.cached(
            ("programs", self.mode, self.window, self.solver, self.strict),
            lambda: self._programs(problem),
        )
        programs.begin(self.cost(k, problem.largest_cost))
        failed = programs.failed
        paths = problem.draw(self.batch, state.rng)
        for group in state.optimizer.param_groups:
            group["lr"] = self.rate(k)
        state.optimizer.zero_grad()
        value, targets = self._played(problem, state.net, programs, paths)
        whole_paths = ~torch.isnan(value)
        if whole_paths.any():
            n, scale = int(whole_paths.sum()), 2.0 * problem.largest_cost
            loss = (1.0 - scored) * value[whole_paths].sum()
            if scored:
                loss = loss + scored * self._score(problem, state, programs, paths, targets)
            (loss / (n * scale)).backward()
            if self.clip:
                torch.nn.utils.clip_grad_norm_(state.net.parameters(), self.clip)
            state.optimizer.step()
            state.loss = float(value[whole_paths].mean().detach())
        lost = int((~whole_paths).sum())
        state.failed += lost
        if programs.failed > failed:
            warnings.warn(
                f"ts-ddr: step {k}: {programs.failed - failed} programs had no solution, so that "
                f"{lost} of {self.batch} paths gave no gradient; problem.diagnose() says where",
                SolvesFailed,
                stacklevel=2,
            )
        state.steps += 1
        return state

    def _programs(self, problem: MultistageLP) -> Programs:
        """Return the windows of the mode."""
        length = {"de": problem.T, "stagewise": 1, "shooting": self.window}[self.mode]
        lengths = [length] * (problem.T // length)
        if problem.T % length:
            lengths.append(problem.T % length)
        return Programs(problem, lengths, self.cost(0, problem.largest_cost), self.solver)

    def _played(
        self,
        problem: MultistageLP,
        net: Pointer,
        programs: Programs,
        paths: Float[np.ndarray, "S T d"],
    ) -> tuple[Tensor, Tensor]:
        """Return Q (S,), NaN where it failed, and the targets (S, T, k)."""
        encoded = net.encode(paths)
        start = torch.from_numpy(np.tile(problem.initial_state, (len(paths), 1)))
        reach = problem.cached("reach", lambda: Reach(problem.stages)) if self.strict else None
        total, t, goals = torch.zeros(len(paths)).double(), 0, []
        for i, length in enumerate(programs.lengths):
            before, mine = start, []
            for _ in range(length):
                said = net.point(t, encoded, before)
                if reach is not None:
                    said = Within.apply(said, before, paths[:, t], reach, t)
                mine.append(said)
                before, t = said, t + 1
            targets = torch.stack(mine, dim=1)
            value, start = Project.apply(targets, start, paths[:, t - length : t], programs, i)
            total = total + value
            goals.append(targets)
        return total, torch.cat(goals, dim=1)

    def _score(
        self,
        problem: MultistageLP,
        state: TSDDRState,
        programs: Programs,
        paths: Float[np.ndarray, "S T d"],
        targets: Tensor,
    ) -> Tensor:
        """Return the score function's surrogate, summed over paths:

        (1 / M) sum_m (R_m - mean R) sum_t <delta_{m,t} / sigma^2, x_hat_t>
        """
        sigma, total = self.sigma * problem.scale, torch.zeros(()).double()
        fixed = targets.detach().numpy()
        for s in range(len(paths)):
            noise = state.rng.standard_normal((self.samples, *fixed[s].shape)) * sigma
            costs = np.array([self._cost(problem, programs, paths[s], fixed[s] + e) for e in noise])
            good = np.isfinite(costs)
            if good.sum() < 2:
                continue
            weight = (costs[good] - costs[good].mean()) / good.sum()
            direction = np.einsum("m,mtk->tk", weight, noise[good] / sigma**2)
            total = total + (torch.from_numpy(direction) * targets[s]).sum()
        return total

    def _cost(
        self,
        problem: MultistageLP,
        programs: Programs,
        path: Float[np.ndarray, "T d"],
        targets: Float[np.ndarray, "T k"],
    ) -> float:
        """Return what a path's programs cost with these targets; NaN where one fails."""
        start, total, t = problem.initial_state, 0.0, 0
        for i, length in enumerate(programs.lengths):
            part = slice(t, t + length)
            found = programs.solve(i, start, path[part], targets[part])
            if found is None:
                return float("nan")
            total, start, t = (
                total + found.value,
                targets[t + length - 1] + found.missed[-1],
                t + length,
            )
        return total

    def answer(self, problem: MultistageLP, state: TSDDRState) -> NetworkTargets:
        """The network as a policy."""
        return state.net.policy(self.acting(problem.largest_cost))

    def done(self, problem: MultistageLP, state: TSDDRState) -> str | None:
        """Say that all steps were taken."""
        return f"{state.steps} steps" if state.steps >= self.iterations else None

    def remarks(self, problem: MultistageLP, state: TSDDRState) -> list[str]:
        """How many paths gave no gradient."""
        if not state.failed:
            return []
        return [f"{state.failed} paths had a program without a solution and gave no gradient"]
