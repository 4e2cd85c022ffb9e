"""The method of the black-box room where none is named, and why: a table that a person can read
and dispute. `feasible explain default` prints it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import BlackBox

FEW = 300
"""Evaluations up to which the models of bo-qlognehvi, refitted for each proposal, are worth their
seconds.
"""
MODELLED, INPUTS = 300, 10
"""Evaluations and inputs up to which robust-bo was measured."""
FIT, WIDE = 300, 18
"""Rows and inputs that the network of pfn-cei takes in."""
NEAR = 200
"""Evaluations up to which a target is worth a model of its own."""
MANY = 500
"""Evaluations beyond which a proposal of gp-sqp (50 to 150 ms) costs more than it saves."""


@dataclass(frozen=True)
class Facts:
    """What the choice looks at.

    Attributes:
        problem: What is to be solved.
        evaluations: Of the budget; infinite where it limits none.
    """

    problem: BlackBox
    evaluations: float

    @property
    def private(self) -> bool:
        """A private table."""
        return "PrivateTable" in self.problem.kinds()

    @property
    def target(self) -> bool:
        """The objective has a positive target."""
        return self.problem.target is not None and self.problem.target > 0

    @property
    def told(self) -> bool:
        """Results come from outside, as of experiments: there is no function."""
        return self.problem.fun is None

    @property
    def jumps(self) -> list[str]:
        """What makes the values jump."""
        found = {
            "some inputs are categories": any(v.choices for v in self.problem.space.variables),
            "a limit is only a yes or a no": any(q.yes_no for q in self.problem.limits.limits),
        }
        return [what for what, so in found.items() if so]

    @property
    def rough(self) -> list[str]:
        """What a method that trusts differences of values is misled by."""
        found = {
            "the function is noisy": bool(self.problem.noise),
            "some inputs are whole numbers": any(
                v.integer and not v.choices for v in self.problem.space.variables
            ),
            "some inputs go in steps": any(
                v.step and not v.integer for v in self.problem.space.variables
            ),
            "the experiments are rows of a table": self.problem.space.menu is not None,
            "an earlier study is known": self.problem.history is not None,
        }
        return self.jumps + [what for what, so in found.items() if so]


@dataclass(frozen=True)
class Choice:
    """A row of the table.

    Attributes:
        situation: When it applies, in words.
        applies: The same as a test.
        method: What is chosen.
        why: A sentence for the user; `{rough}`, `{evaluations:g}` and `{target:g}` are filled in.
        evidence: Figures, with the command that made them.
        seconds: What a proposal takes (one core, up to 300 rows), where that may matter.
    """

    situation: str
    applies: Callable[[Facts], bool]
    method: str
    why: str
    evidence: str
    seconds: float = 0.0

    def waits(self, facts: Facts) -> bool:
        """Whether a proposal takes no longer than an evaluation, where its time is known."""
        return facts.problem.evaluation_time is None or (
            self.seconds <= facts.problem.evaluation_time
        )


TABLE: tuple[Choice, ...] = (
    Choice(
        "a private table",
        lambda f: f.private,
        "private-gsd",
        "it fits a table to noisy answers of any kind of query, and its errors on marginals were "
        "those of a graphical model",
        "`python -m benchmarks private`",
    ),
    Choice(
        f"several objectives, up to {FEW} evaluations",
        lambda f: f.problem.several and f.evaluations <= FEW,
        "bo-qlognehvi",
        "several objectives and {evaluations:g} evaluations: a model of each chooses where the "
        "front grows most",
        "docs/blackbox/fronts.md",
        seconds=1.0,
    ),
    Choice(
        "several objectives",
        lambda f: f.problem.several,
        "pymoo-nsga2",
        "several objectives and many evaluations: a population covers the front, and its cost does "
        "not grow with the evaluations",
        "docs/blackbox/fronts.md",
    ),
    Choice(
        f"a positive target, finite bounds, up to {NEAR} evaluations",
        lambda f: f.target and f.problem.space.bounded and f.evaluations <= NEAR,
        "ccbo",
        "the objective should be {target:g}, and ccbo models its value instead of the distance, "
        "and where experiments fail",
        "docs/blackbox/ccbo.md",
        seconds=0.1,
    ),
    Choice(
        "noise, whole numbers, steps, categories, a table of experiments, an earlier study, or a "
        f"limit that is only yes or no; finite bounds, up to {MODELLED} evaluations of at most "
        f"{INPUTS} inputs",
        lambda f: (
            bool(f.rough)
            and f.problem.space.bounded
            and f.evaluations <= MODELLED
            and f.problem.space.d <= INPUTS
        ),
        "robust-bo",
        "{rough}: its model counts outliers less, takes categories and whole numbers as what they "
        "are, and learns yes/no limits and failures",
        "bbob-noisy, bbob-mixint, problems with known best values, each beside its best peer: "
        "`python -m benchmarks rough_bars`",
        seconds=0.03,
    ),
    Choice(
        f"categories, or a limit that is only yes or no; up to {FIT} evaluations, {WIDE} inputs",
        lambda f: bool(f.jumps) and f.evaluations <= FIT and f.problem.space.d <= WIDE,
        "pfn-cei",
        "{rough}: a statistical model is not misled by jumps, and the network's is there in "
        "milliseconds",
        "`python -m benchmarks rough`",
        seconds=0.02,
    ),
    Choice(
        "categories, or a limit that is only yes or no",
        lambda f: bool(f.jumps) and f.problem.space.bounded,
        "cbo-memory",
        "{rough}: a population is not misled by jumps and noise, and may grow",
        "`python -m benchmarks rough`",
    ),
    Choice(
        "noise, whole numbers or steps, an input without a bound",
        lambda f: bool(f.rough) and not f.problem.space.bounded,
        "cobyqa",
        "{rough}, and an input has no finite bound: cobyqa needs none and believes no difference "
        "of two values",
        "no other method here takes such a problem",
    ),
    Choice(
        f"noise, whole numbers or steps, up to {MANY} evaluations",
        lambda f: bool(f.rough) and f.evaluations <= MANY,
        "gp-sqp",
        "{rough}: on six engineering problems (development seeds) no method had a better rank with "
        "noise or an input in steps",
        "`python -m benchmarks rough`",
        seconds=0.1,
    ),
    Choice(
        "noise, whole numbers or steps",
        lambda f: bool(f.rough),
        "cbo-memory",
        "{rough}: a population is not misled by jumps and noise, and may grow",
        "`python -m benchmarks rough`",
    ),
    Choice(
        f"results that are told, as of experiments, without limits; finite bounds, up to "
        f"{MODELLED} evaluations of at most {INPUTS} inputs",
        lambda f: (
            f.told
            and not f.problem.limits.limits
            and f.problem.space.bounded
            and f.evaluations <= MODELLED
            and f.problem.space.d <= INPUTS
        ),
        "robust-bo",
        "results are told, not computed: on nine tables of real experiments its model of the whole "
        "box was ahead of searches that go downhill first, and it takes noise and failures as they "
        "come",
        "emulators of nine published tables, 5 seeds, mean regret after 30 and 60 experiments: "
        ".069, .026 (optuna-tpe .187, .129, random .328, .273; relay, 3 seeds, .178, .157); with "
        "noise, 3 seeds, .098, .062 (optuna-tpe .240, .199): `python -m benchmarks.experiments "
        "show`",
        seconds=0.03,
    ),
    Choice(
        "real inputs with finite bounds; any limits, equalities, budget",
        lambda f: f.problem.space.bounded,
        "relay",
        "the inputs are real: hybrid-sqp, differences that know the curvature, which is exact, and "
        "a model of the whole box (with limits and without x0 before them); it hands over to "
        "robust-bo should values not repeat or evaluations fail",
        "targets at 20, 50, 100 d: bbob d 2 .41 .58 .68 (SLSQP .38 .51 .59), d 5 .27 .47 .59 (.24 "
        ".37 .45), d 10 .22 .35 .49 (.20 .33 .40), d 20 .20 .29 .45 (.18 .23 .36); at 20, 50 d: "
        "bbob-constrained d 2 .71 .78 (SLSQP .49 .73), d 5 .54 .60 (.38 .52): `python -m "
        "benchmarks coco`; failures: `python -m "
        "benchmarks.rough_default show`",
    ),
    Choice(
        "real inputs, one without a bound; any limits, equalities, budget",
        lambda f: True,
        "hybrid-sqp",
        "the inputs are real and the values repeat: differences that know the curvature, which is "
        "exact, and a model of the whole box (with limits and without x0 before them), then "
        "restarts",
        "CUTEst, solved within 50 (d + 1): 45 unbounded .91 (SLSQP .76), 26 boxes .88 (.85), 34 "
        "with equalities .94 (.91): `python -m benchmarks s2mpj`",
    ),
)
"""The choice: the first row that applies."""


def choose(problem: BlackBox, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method and why: the first row of `TABLE` that applies and whose proposals take no
    longer than evaluations, where the problem says how long these take; the first that applies
    where none is so quick.
    """
    facts = Facts(problem, budget.get("evaluations") or math.inf)
    first = next(r for r in TABLE if r.applies(facts))
    if facts.private:
        return first.method, first.why
    row = next((r for r in TABLE if r.applies(facts) and r.waits(facts)), first)
    target = math.nan if problem.target is None else problem.target
    why = row.why.format(
        rough=" and ".join(facts.rough), evaluations=facts.evaluations, target=target
    )
    if row is not first:
        why += (
            f"; a proposal of {first.method} would take {1e3 * first.seconds:g} ms, longer than "
            f"an evaluation ({1e3 * (problem.evaluation_time or 0):g} ms)"
        )
    return row.method, why


def table() -> list[tuple[str, str, str]]:
    """Situation, method and evidence of each row, in order."""
    return [(r.situation, r.method, r.evidence) for r in TABLE]
