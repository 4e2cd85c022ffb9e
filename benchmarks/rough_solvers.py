"""What solves the problems of `rough_default`: methods of ours by name, and peers as their users
would call them.

BayBE, SMAC3 and HEBO know no limits on what is measured: they are told the worst value so far of
points that are forbidden or fail, and beside categories or whole numbers BayBE's reals have at most
11 values, since it maximises over reals once for each combination of the others.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.outside import Outside
from feasible.blackbox import BlackBox, Categorical, Integer, Real

MARKS = (24, 50, 100, 250, 500)
"""Evaluations at which what was reached is noted."""


class Used(BaseException):
    """The evaluations are used up. Not an Exception, since solvers swallow these."""


@dataclass
class Task:
    """A problem that counts and stops.

    Attributes:
        kinds: "r", "i" or "c" for each input.
        low: (d,) lower bounds.
        high: (d,) upper bounds.
        call: Point -> objective, limits, yes/no answers, whether it succeeded.
        gap: Point -> what it truly is above the best value; infinite where it is not allowed.
        limits: Number of limits with values.
        answers: Number of yes/no limits.
        noisy: Whether there is noise.
        budget: Evaluations.
        told: Descriptors of categories, by place.
        equalities: How many of the limits, the last ones, are equalities.
        rows: Points and outcomes so far.
        favourite: What the method would answer now; None for the luckiest point.
        reached: Gap of that answer at each of `MARKS`, where there is noise.
    """

    kinds: str
    low: np.ndarray
    high: np.ndarray
    call: Callable[[np.ndarray], tuple[float, np.ndarray, np.ndarray, bool]]
    gap: Callable[[np.ndarray], float]
    limits: int
    answers: int
    noisy: bool
    budget: int
    told: dict[int, np.ndarray] = field(default_factory=dict)
    equalities: int = 0
    rows: list[tuple[np.ndarray, float, np.ndarray, np.ndarray, bool]] = field(default_factory=list)
    favourite: Callable[[], np.ndarray | None] = lambda: None
    reached: dict[int, float] = field(default_factory=dict)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray, bool]:
        """Evaluate a point."""
        n = len(self.rows)
        if self.noisy and n in MARKS and n not in self.reached:
            self.reached[n] = self.gap(self.answer())
        if n >= self.budget:
            raise Used
        x = np.clip(np.array(x, dtype=float), self.low, self.high)
        x = np.where([k == "r" for k in self.kinds], x, np.rint(x))
        out = self.call(x)
        self.rows.append((x, *out))
        return out

    def answer(self) -> np.ndarray:
        """What the method would answer now."""
        found = self.favourite() if self.noisy else None
        return self.luckiest() if found is None else found

    def luckiest(self) -> np.ndarray:
        """The allowed point of least value."""
        good = [r for r in self.rows if r[4] and (r[2] <= 0).all() and (r[3] > 0.5).all()]
        return min(good, key=lambda r: r[1])[0] if good else self.rows[0][0]


def posed(task: Task, described: bool = False, free: bool = False) -> BlackBox:
    """The problem as one of ours; described: with the descriptors of its categories; free: without
    its limits, what is forbidden is worth the worst value so far.
    """

    def fun(m: dict[str, Any]) -> dict[str, float]:
        x = np.array([float(v[1:]) if isinstance(v, str) else v for v in m.values()], dtype=float)
        if free:
            return {"f": value(x)}
        f, g, yes, works = task(x)
        if not works:
            raise RuntimeError("the experiment failed")
        out = {"f": f} | {f"g{j}": float(v) for j, v in enumerate(g)}
        return out | {f"y{j}": bool(v > 0.5) for j, v in enumerate(yes)}

    make = {
        "r": lambda n, lo, hi: Real(n, lo, hi),
        "i": lambda n, lo, hi: Integer(n, int(lo), int(hi)),
        "c": lambda n, lo, hi: Categorical(
            n, [f"c{i}" for i in range(int(hi) + 1)], descriptors=told.get(n)
        ),
    }
    value = penalised(task)
    told = {
        f"x{j}": {f"q{i}": column.tolist() for i, column in enumerate(table.T)}
        for j, table in (task.told.items() if described else ())
    }
    unequal = task.limits - task.equalities
    limits = {f"g{j}": "<= 0" if j < unequal else "= 0" for j in range(task.limits)}
    limits |= {f"y{j}": "is true" for j in range(task.answers)}
    return BlackBox(
        fun,
        [make[k](f"x{j}", task.low[j], task.high[j]) for j, k in enumerate(task.kinds)],
        objective="f",
        limits={} if free else limits,
        noise=task.noisy,
        pass_as="mapping",
    )


def by_library(name: str) -> Callable[[Task, int], np.ndarray]:
    """A method of ours, by name; behind "+" it is given the descriptors too."""
    name, described = name.removesuffix("+"), name.endswith("+")

    def solve(task: Task, seed: int) -> np.ndarray:
        import feasible
        from feasible.blackbox.peers import BayBE
        from feasible.core.active import active_run

        def favourite() -> np.ndarray | None:
            run = active_run.get()
            row = None if run is None else run.method.answer(run.problem, run.state)
            return None if row is None else np.array(row.x)

        task.favourite, free = favourite, name == "baybe"
        problem = posed(task, described, free)
        method = BayBE(grid=task.kinds != "r" * len(task.kinds)) if free else name
        method = None if name == "default" else method
        found = feasible.solve(problem, method, budget=task.budget, seed=seed, on_failure="skip")
        return task.luckiest() if free else np.array(found.answer.x)

    return solve


def by_tpe(task: Task, seed: int) -> np.ndarray:
    """Optuna's TPE with its defaults."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(
        seed=seed, constraints_func=lambda trial: trial.user_attrs.get("g", ())
    )
    study = optuna.create_study(sampler=sampler)

    def objective(trial: Any) -> float:
        x = [
            trial.suggest_float(f"x{j}", task.low[j], task.high[j])
            if k == "r"
            else trial.suggest_int(f"x{j}", int(task.low[j]), int(task.high[j]))
            if k == "i"
            else trial.suggest_categorical(f"x{j}", list(range(int(task.high[j]) + 1)))
            for j, k in enumerate(task.kinds)
        ]
        f, g, yes, works = task(np.array(x, dtype=float))
        if not works:
            raise RuntimeError("the experiment failed")
        trial.set_user_attr("g", [*g.tolist(), *(0.5 - yes).tolist()])
        return f

    study.optimize(objective, n_trials=task.budget, catch=(RuntimeError,))
    return task.luckiest()


def penalised(task: Task) -> Callable[[np.ndarray], float]:
    """The objective for solvers without limits of their own: a failed or forbidden point is worth
    the worst value so far.
    """

    def value(x: np.ndarray) -> float:
        f, g, yes, works = task(x)
        if works and (g <= 0).all() and (yes > 0.5).all():
            return f
        return max((r[1] for r in task.rows if r[4]), default=1e3)

    return value


def by_cobyqa(task: Task, seed: int) -> np.ndarray:
    """SciPy's COBYQA from the middle of the box, then from random points."""
    from scipy.optimize import Bounds, NonlinearConstraint, minimize

    rng, x = np.random.default_rng(seed), (task.low + task.high) / 2
    value = penalised(task) if task.answers or not task.limits else lambda x: task(x)[0]
    limits = (
        NonlinearConstraint(lambda x: task.rows[-1][2], -np.inf, 0.0)
        if task.limits and not task.answers
        else ()
    )
    ends: list[np.ndarray] = []
    task.favourite = lambda: ends[-1] if ends else None
    while True:
        found = minimize(
            value, x, method="COBYQA", bounds=Bounds(task.low, task.high), constraints=limits
        )
        x = rng.uniform(task.low, task.high)
        ends.append(np.array(found.x))


def by_cma(task: Task, seed: int) -> np.ndarray:
    """pycma with sigma a quarter of the box, whole numbers by its integer_variables."""
    import cma

    whole = np.array([k != "r" for k in task.kinds])
    origin, unit = np.where(whole, 0.0, task.low), np.where(whole, 1.0, task.high - task.low)
    half = np.where(whole, 0.5, 0.0)
    low, high = (task.low - origin - half) / unit, (task.high - origin + half) / unit
    options = {
        "bounds": [low.tolist(), high.tolist()],
        "CMA_stds": (high - low).tolist(),
        "integer_variables": np.flatnonzero(whole).tolist(),
        "seed": seed + 1,
        "verbose": -9,
        "verb_log": 0,
    }
    value, middle = penalised(task), ((low + high) / 2).tolist()
    search = cma.CMAEvolutionStrategy(middle, 0.25, options)
    task.favourite = lambda: origin + unit * search.result.xfavorite
    while True:
        points = search.ask()
        search.tell(points, [value(origin + unit * p) for p in points])
        if search.stop():
            options["seed"] += 1
            search = cma.CMAEvolutionStrategy(middle, 0.25, options)


def by_random(task: Task, seed: int) -> np.ndarray:
    """Uniform points."""
    rng = np.random.default_rng(seed)
    whole = np.array([k != "r" for k in task.kinds])
    for _ in range(task.budget):
        u = rng.random(len(task.kinds))
        levels = np.floor(task.low + u * (task.high - task.low + 1))
        task(np.where(whole, levels, task.low + u * (task.high - task.low)))
    return task.luckiest()


def by_outside(library: str) -> Callable[[Task, int], np.ndarray]:
    """SMAC3 or HEBO, in a process of its own."""

    def solve(task: Task, seed: int) -> np.ndarray:
        problem = {
            "kinds": task.kinds,
            "low": task.low.tolist(),
            "high": task.high.tolist(),
            "seed": seed,
            "budget": task.budget,
            "noisy": task.noisy,
        }
        search, value = Outside(library, problem), penalised(task)
        try:
            for _ in range(task.budget):
                search.tell(value(np.array(search.ask())))
        finally:
            search.close()
        return task.luckiest()

    return solve


PEERS: dict[str, Callable[[Task, int], np.ndarray]] = {
    "tpe": by_tpe,
    "cobyqa": by_cobyqa,
    "cma-es": by_cma,
    "random": by_random,
    "smac": by_outside("smac"),
    "hebo": by_outside("hebo"),
}
