"""Races made by hand, for tests of standings, figures and reports."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import strategies as st

from feasible.core.trail import Point, next_point
from feasible.core.verdict import Verdict
from feasible.lab.trials import Contest, Race, Trial

numbers = st.one_of(
    st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 1.0, 1.0, 2.0]), st.floats()
)

HOSTILE = [
    "<img src=x onerror=alert(1)>",
    "</script><script>alert(2)</script>",
    "../../x",
    "{{7*7}}{% raw %}",
    "<!-- a\u2028b",
    "%{x} $a$ \x1b[31m",
    "<b>bold</b> & \"q\" 'a'",
    "a\nb\rc",
]


def trial(
    problem: str = "p",
    method: str = "a",
    seed: int = 0,
    objective: float = math.nan,
    violation: float = 0.0,
    *,
    status: str = "done",
    feasible: bool | None = None,
    trail: list[tuple[float, float]] | None = None,
    evaluations: float = 100,
    **more: object,
) -> Trial:
    """A trial; trail: (evaluations, objective) of feasible points. Feasible if it has an objective
    and no violation.
    """
    points = [
        Point(i + 1, {"evaluations": x}, x / 100, Verdict(y))
        for i, (x, y) in enumerate(trail or [])
    ]
    ok = violation <= 0 and not math.isnan(objective) if feasible is None else feasible
    return Trial(
        problem,
        method,
        seed,
        status,
        objective,
        violation,
        ok,
        {"evaluations": evaluations},
        evaluations / 100,
        points,
        **more,
    )  # type: ignore[arg-type]


def race_of(
    trials: list[Trial],
    best_known: float | None = 0.0,
    maximize: bool = False,
    names: tuple[str, ...] = ("x", "y"),
    budget: dict[str, float] | None = None,
) -> Race:
    """A race with these trials: problems, methods and seeds in order of appearance."""
    problems = list(dict.fromkeys(t.problem for t in trials))
    return Race(
        "race",
        [Contest(p, best_known, maximize=maximize, names=names) for p in problems],
        list(dict.fromkeys(t.method for t in trials)),
        sorted({t.seed for t in trials}),
        {"evaluations": 100} if budget is None else budget,
        trials,
        {"feasible": "0.1.0"},
        1.0,
    )


def make_race(
    n_seeds: int = 7,
    methods: tuple[str, ...] = ("cei-gp", "trust-region", "cma-es", "random-search"),
    evaluations: int = 200,
) -> Race:
    """A race as it comes out of the lab: three problems, infeasible beginnings, failures, one
    pending trial.
    """
    contests = [
        Contest(
            "welded-beam",
            1.7248,
            design(1.7248, 0.2057),
            objective="cost (USD)",
            names=("h", "l", "t", "b"),
        ),
        Contest(
            "speed-reducer",
            2994.47,
            [],
            objective="weight (kg)",
            names=tuple(f"x{i}" for i in range(7)),
        ),
        Contest(
            "battery-yield",
            None,
            [],
            maximize=True,
            objective="yield (%)",
            names=("T", "c", "rate"),
        ),
    ]
    speed = dict(zip(methods, np.linspace(4.5, 0.7, len(methods)), strict=True))
    trials = []
    for p, contest in enumerate(contests):
        for m, method in enumerate(methods):
            for seed in range(n_seeds):
                rng = np.random.default_rng([p, m, seed])
                if method == methods[-1] and contest.name == "speed-reducer":
                    trials.append(
                        _run(
                            contest,
                            method,
                            seed,
                            rng,
                            speed[method],
                            evaluations,
                            never=seed % 3 != 0,
                        )
                    )
                elif method == methods[2 % len(methods)] and seed == 1 and p == 1:
                    trials.append(
                        Trial(
                            contest.name,
                            method,
                            seed,
                            "failed",
                            spent={"evaluations": 17},
                            seconds=0.4,
                            error="EvaluationFailed: mesh generator returned exit code 3",
                            run="r-17",
                        )
                    )
                else:
                    trials.append(_run(contest, method, seed, rng, speed[method], evaluations))
    if n_seeds > 2:
        t = trials[-1]
        trials[-1] = Trial(t.problem, t.method, t.seed, "pending")
    return Race(
        "beams and batteries",
        contests,
        list(methods),
        list(range(n_seeds)),
        {"evaluations": evaluations, "seconds": 60},
        trials,
        {"feasible": "0.1.0", "numpy": "2.2", "python": "3.11"},
        412.7,
    )


def design(cost: float, h: float) -> list[tuple[str, ...]]:
    """A design table as the blackbox room writes it."""
    return [
        ("variable", "value", "unit"),
        ("h", f"{h:.4f}", "in"),
        ("l", "3.4705", "in"),
        ("t", "9.0366", "in"),
        ("b", "0.2057", "in"),
        ("metric", "value", "limit", "slack", "unit"),
        ("cost", f"{cost:.6g}", "minimise", "", "USD"),
        ("shear", "13599.9", "<= 13600", "0.1", "psi"),
        ("deflection", "0.2355", "<= 0.25", "0.0145", "in"),
    ]


def _run(
    contest: Contest,
    method: str,
    seed: int,
    rng: np.random.Generator,
    speed: float,
    evaluations: int,
    never: bool = False,
) -> Trial:
    start = int(rng.integers(1, 40))
    sign = -1.0 if contest.maximize else 1.0
    target = sign * 91.0 if contest.best_known is None else contest.best_known
    best, trail, n = math.inf, [], 1
    while n <= evaluations:
        if n < start or never:
            verdict = Verdict(target * 0.9, float(30 * rng.random() / n + 0.01), 1e-6)
        else:
            best = min(
                best,
                target
                + abs(target)
                * 2.0
                * float(np.exp(-speed * (n - start + 1) / 60))
                * float(0.3 + rng.random()),
            )
            verdict = Verdict(best, 0.0, 1e-6)
        trail.append(Point(n, {"evaluations": float(n)}, n * 0.01, verdict))
        n = next_point(n)
    last = trail[-1].verdict
    return Trial(
        contest.name,
        method,
        seed,
        "done",
        float(last.objective),
        last.violation,
        last.feasible,  # type: ignore[arg-type]
        {"evaluations": float(evaluations), "seconds": evaluations * 0.01},
        float(evaluations * 0.01 * (0.8 + 0.4 * rng.random())),
        trail,
        design(float(last.objective), 0.21)
        if contest.name == "welded-beam"
        # type: ignore[arg-type]
        else [
            ("variable", "value", "unit"),
            ("x0", f"{rng.random():.5f}", "mm"),
            ("metric", "value", "limit", "slack", "unit"),
            ("stress", "244.1", "<= 250 MPa", "5.9", "MPa"),
        ],
        [float(v) for v in rng.random(4)],
        "budget used up: 200 of 200 evaluations spent",
    )
