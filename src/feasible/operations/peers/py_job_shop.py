"""PyJobShop, a modelling library for scheduling whose solver is CP-SAT.

References:
    L. Lan, J. Berkhout, PyJobShop: Solving scheduling problems with constraint programming in
    Python (2025), arXiv 2502.13483.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from ...core.checks import whole
from ..cpsat import LEAST, Answered, checked_answer, left_shift
from ..jobshop import JobShop
from .frame import ShopSolver, SolverState

if TYPE_CHECKING:
    from jaxtyping import Int
    from pyjobshop import Model


@dataclass(frozen=True)
class PyJobShop(ShopSolver):
    """PyJobShop with a schedule of ours as its initial solution. See `ShopSolver` for the settings.

    It reports its last schedule only.
    """

    name: ClassVar[str] = "pyjobshop"
    requires: ClassVar[tuple[str, ...]] = ("pyjobshop",)

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("workers", self.workers, least=0)

    def run(
        self,
        problem: JobShop,
        state: SolverState,
        seconds: float,
        seen: Callable[[Int[np.ndarray, " ops"]], None],
    ) -> Answered:
        """Build the model, and solve it in the seconds that are left."""
        from pyjobshop import Solution
        from pyjobshop.Solution import ScheduledTask

        begun = time.monotonic()
        model = self.model(problem)
        initial = None
        if self.hint:
            tasks = [
                ScheduledTask(k, [int(problem.routes.machine[k])], s, s + d)
                for k, (s, d) in enumerate(
                    zip(state.hint.tolist(), problem.duration.tolist(), strict=True)
                )
            ]
            initial = Solution(model.data(), tasks)
        left = seconds - (time.monotonic() - begun)
        if left < LEAST:
            return Answered(None, 0, "UNKNOWN")
        found = model.solve(
            time_limit=left,
            display=False,
            num_workers=self.workers or None,
            initial_solution=initial,
            random_seed=state.seed,
        )
        status = {"Optimal": "OPTIMAL", "Feasible": "FEASIBLE", "Infeasible": "INFEASIBLE"}
        starts = None
        if found.best.tasks:
            starts = left_shift(problem, np.array([t.start for t in found.best.tasks], np.int64))
            seen(starts)
        bound = int(np.ceil(found.lower_bound - 1e-6)) if np.isfinite(found.lower_bound) else 0
        said = status.get(found.status.value, "UNKNOWN")
        return checked_answer(problem, state.hint, starts, bound, said)

    def model(self, problem: JobShop) -> Model:
        """The shop as a model of PyJobShop, times in ticks."""
        from pyjobshop import Model

        model, routes = Model(), problem.routes
        machines = [model.add_machine(name=name) for name in routes.names]
        duration = problem.duration.tolist()
        for j in range(routes.n):
            dates: dict[str, int] = {"release_date": int(problem.release_ticks[j])}
            if problem.due_ticks[j] >= 0:
                dates["deadline"] = int(problem.due_ticks[j])
            job = model.add_job(**dates, name=problem.jobs[j])
            before = None
            for k in range(routes.first[j], routes.first[j + 1]):
                task = model.add_task(job=job)
                model.add_mode(task, machines[routes.machine[k]], duration[k])
                if before is not None:
                    model.add_end_before_start(before, task)
                before = task
        return model
