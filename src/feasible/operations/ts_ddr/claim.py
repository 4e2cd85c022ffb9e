"""The claim of arXiv 2405.14973: policies trained by duals reach the cost of stochastic dual
dynamic programming on a hydrothermal system, within the limits, in less time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any

import numpy as np

from ...core.registry import load_method
from ...lab.claim import REPORTED, Claim, Experiment, Part, by_method, sampled
from ...lab.trials import Race
from ..instances import hydrothermal_ht3
from ..multistage import MultistageLP

TRAINED = {
    "smoke": {"ts-ddr": "[iterations=20]", "ts-ldr": "[iterations=20]", "sddp": "[iterations=6]"},
    "desk": {"ts-ddr": "", "ts-ldr": "", "sddp": "[iterations=40,stall=0]"},
    "paper": {
        "ts-ddr": "[iterations=4000,batch=32]",
        "ts-ldr": "[iterations=4000,batch=32]",
        "sddp": "[iterations=200,stall=0]",
    },
}
"""Scale -> the methods that are trained, and their settings."""
RULES = ("ce-mpc", "linear-rule", "linear-rule[by_stage=false]", "mean-trajectory")
SIZE = {
    "smoke": {"T": 12, "n_test": 4},
    "desk": {"T": 24, "n_test": 100},
    "paper": {"T": 96, "n_test": 1000},
}
HEAD = 0.3
"""Share of the productivity that grows with the volume, in the problem that is not convex."""


def trained(scale: str) -> dict[str, str]:
    """Return label -> method of what is trained."""
    return {name: name + given for name, given in TRAINED[scale].items()}


def experiments(scale: str, seeds: Sequence[int]) -> list[Experiment]:
    """All methods on the convex system; `extra` has the one that is not convex."""
    budget = {"stage_problems": 100_000_000}
    convex = hydrothermal_ht3(**SIZE[scale])
    rules = {**{r: r for r in RULES}, "myopic": "myopic-dispatch"}
    return [Experiment("convex", [convex], trained(scale) | rules, budget, tuple(seeds))]


def check(races: Mapping[str, Race]) -> list[Part]:
    """Report what every rule costs beside SDDP, in the mean over seeds."""
    found = by_method(races["convex"], lambda t: t.objective)
    return [
        sampled(
            f"cost of {name} over that of SDDP",
            {"mine": values, "sddp": found["sddp"]},
            lambda v: float(v["mine"].mean() / v["sddp"].mean()),
        )
        for name, values in found.items()
        if name not in ("ts-ddr", "sddp", "ts-ldr", "ce-mpc")
    ]


class Played:
    """Policies of each seed played on the same held-out paths.

    Attributes:
        cost: Method -> (paths, seeds).
        target: Method -> (seeds,) share of the cost that missed targets had.
        unmet: Method -> (seeds,) share of the demand.
        seconds: Method -> (seeds,) of the processor, to train.
        bounds: (seeds,) SDDP's lower bound.
    """

    def __init__(self, problem: MultistageLP, methods: Mapping[str, str], seeds: Sequence[int]):
        self.cost: dict[str, np.ndarray] = {}
        self.target: dict[str, list[float]] = {}
        self.unmet: dict[str, list[float]] = {}
        self.seconds: dict[str, list[float]] = {}
        self.bounds: list[float] = []
        for name, reference in methods.items():
            costs = []
            for seed in seeds:
                policy, took = self._policy(problem, reference, seed)
                found = problem.simulate(policy)
                shares = found.shares(problem.tolerance)
                costs.append(found.cost)
                self.target.setdefault(name, []).append(shares.get("target", 0.0))
                self.unmet.setdefault(name, []).append(shares.get("unmet demand", 0.0))
                self.seconds.setdefault(name, []).append(took)
                if name == "ce-mpc":  # it draws nothing: every seed's is the same
                    costs *= len(seeds)
                    break
            self.cost[name] = np.array(costs).T

    def _policy(self, problem: MultistageLP, reference: str, seed: int) -> tuple[Any, float]:
        """Return a method's policy and the processor's seconds that it took, as in a run of this
        seed.
        """
        method = load_method(reference)
        begun = process_time()
        state = method.init(problem, np.random.default_rng(seed))
        while method.done(problem, state) is None:
            state = method.step(problem, state)
        took = process_time() - begun
        if hasattr(state, "bounds"):
            self.bounds.append(state.bounds[-1])
        return method.answer(problem, state), took

    def over(self, statement: str, mine: str, other: str, bar: str = REPORTED) -> Part:
        """Return the ratio of two methods' mean costs, over paths and seeds."""
        return sampled(
            statement,
            {"mine": self.cost[mine], "other": self.cost[other]},
            lambda v: float(v["mine"].mean() / v["other"].mean()),
            bar,
        )


def extra(scale: str, seeds: Sequence[int]) -> tuple[list[Part], dict[str, Any]]:
    """Policies of every seed, paired over the same held-out paths."""
    problem = hydrothermal_ht3(**SIZE[scale])
    played = Played(problem, trained(scale) | {"ce-mpc": "ce-mpc"}, seeds)
    foresight = np.repeat(problem.perfect_foresight()[:, None], len(seeds), axis=1)
    played.cost["foresight"] = foresight
    sddp = float(played.cost["sddp"].mean())
    parts = [
        played.over("cost of TS-DDR over that of SDDP", "ts-ddr", "sddp", "<= 1.03"),
        played.over("cost of TS-DDR over that of TS-LDR", "ts-ddr", "ts-ldr", "<= 0.97"),
        played.over("cost of TS-DDR over perfect foresight", "ts-ddr", "foresight", "<= 1.06"),
        sampled(
            "TS-DDR less certainty-equivalent look-ahead, as a share of SDDP's cost",
            {"mine": played.cost["ts-ddr"], "other": played.cost["ce-mpc"]},
            lambda v: float((v["mine"].mean() - v["other"].mean()) / sddp),
            "<= 0.01",
        ),
        Part(
            "largest share of TS-DDR's cost for missed targets, or of the demand unmet",
            max(*played.target["ts-ddr"], *played.unmet["ts-ddr"]),
            "<= 0.01",
        ),
        Part("largest share of TS-LDR's cost for missed targets", max(played.target["ts-ldr"])),
        Part(
            "paths on which a policy costs less than perfect foresight",
            float(
                sum(
                    (cost < foresight * (1 - 1e-9) - 1e-6).sum()
                    for name, cost in played.cost.items()
                    if name != "foresight"
                )
            ),
            "== 0",
        ),
        sampled(
            "seconds to train TS-DDR over those of SDDP",
            {k: np.array([played.seconds[k]]) for k in ("ts-ddr", "sddp")},
            lambda v: float(v["ts-ddr"].mean() / v["sddp"].mean()),
            "<= 3" if scale == "desk" else REPORTED,
        ),
    ]
    if scale == "desk":
        for what, value, known in (
            ("SDDP's bound", float(np.mean(played.bounds)), 22_231.0),
            ("SDDP's cost", sddp, 23_026.0),
            ("perfect foresight", float(foresight.mean()), 22_831.0),
        ):
            away = abs(value / known - 1)
            parts.append(Part(f"{what}: share by which it is off {known:g}", away, "<= 0.005"))
    parts += head(scale, seeds)
    figures = {
        "mean cost": {name: cost.mean(axis=0) for name, cost in played.cost.items()},
        "seconds to train": played.seconds,
        "bounds": played.bounds,
    }
    return parts, figures


def head(scale: str, seeds: Sequence[int]) -> list[Part]:
    """Where production grows with the volume, so that SDDP's cuts are no bounds."""
    problem = hydrothermal_ht3(**SIZE[scale], head=HEAD)
    few = {k: v for k, v in trained(scale).items() if k != "ts-ldr"}
    played = Played(problem, few | {"ce-mpc": "ce-mpc"}, seeds)
    what = "with head effects, cost of TS-DDR over that of"
    return [
        played.over(f"{what} SDDP", "ts-ddr", "sddp", "<= 1"),
        played.over(f"{what} certainty-equivalent look-ahead", "ts-ddr", "ce-mpc"),
    ]


claim = Claim(
    slug="ts-ddr",
    statement="A network trained by duals costs at most 1.03 times SDDP's policy on a convex "
    "hydrothermal system, at most 0.97 times a linear rule trained the same way, and no more than "
    "SDDP where production depends on the head and cuts are no bounds.",
    experiments=experiments,
    check=check,
    extra=extra,
    why="On a convex system with independent stages SDDP is ahead of TS-DDR in cost: that order "
    "is expected, and the paper's own claim is about power flows that are not convex. Look-ahead "
    "under the mean inflow, which needs no training, is close to both. Orders of magnitude in time "
    "cannot be seen at this size.",
    limits={
        "desk": "3 reservoirs, 24 months, 20 inflows a month, 100 held-out paths, five seeds; the "
        "paper has 10 hydro units, 96 stages, and AC power flow, which is not here.",
        "smoke": "12 months, 4 paths, 20 steps.",
    },
)
