"""Problem: what is to be optimised. Method: how. The two meet only in a run."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from .annotations import Checked
from .errors import ArgumentError, WrongProblem
from .extras import check_module
from .trail import GROWTH
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from .budget import Budget
    from .experiments import Experiments
    from .ledger import Ledger, Observations
    from .pareto import Cloud
    from .sizes import Sizes


class Problem:
    """What is to be optimised: the data, and the oracles a method may call. It knows nothing of
    methods.

    Two duties: its oracles call `spend` before they compute, and `judge` measures an answer
    independently. A subclass is usually a dataclass; it has a `name`. Everything else that a run,
    the lab or the command line asks of a problem is declared here, with a default.
    """

    name: str = "problem"
    best_known: float | None = None
    """Objective (minimised) of the best known feasible answer, where the literature has one."""
    example_budget: ClassVar[str] = "evaluations=200"
    """A budget as the command line takes it, for the calls that `feasible explain` prints."""

    @classmethod
    def kinds(cls) -> tuple[str, ...]:
        """Names of its class and of those that it derives from, the nearest first: a method, or a
        room's default, for one of them is one for it.
        """
        return tuple(c.__name__ for c in cls.__mro__ if issubclass(c, Problem))

    # -- what a run keeps and judges ---------------------------------------------------------------

    keeps_ledger: ClassVar[bool] = False
    """True where every evaluation is paid for, a row of the run's ledger, and an answer is one of
    these rows.
    """
    keep: int | None = None
    """Most rows that a run without a store keeps in memory; None: all. The best is always kept."""
    plain: bool = False
    """True if evaluating a batch of rows is one call of a vectorised function and nothing else."""
    columns: tuple[str, ...] = ()
    """Names of the metrics that every row of the ledger has, the objective's first."""
    tolerance: float = 0.0
    """Largest violation that counts as feasible, of a row of the ledger."""
    trail_growth: float = GROWTH
    """How often judging is worth its cost: the ratio of two neighbours on the trail's geometric
    grid. A larger one where judging is dear.
    """
    last: ClassVar[bool] = False
    """True where a run's answer is its last one, because it is judged on data that must not choose
    (held-out data); an earlier one counts only where it keeps to the limits and the last does not.
    """
    several: bool = False
    """True where it has several objectives, so that its answers are fronts; only methods that say
    the same of themselves solve it.
    """
    answers: ClassVar[tuple[type, ...]] = ()
    """Dataclasses of its answers, so that a stored one can be read back; none where they are plain
    data, arrays or tensors.
    """

    def judge(self, answer: Any) -> Verdict:
        """Measure an answer. Must not trust anything the method says about it."""
        raise TypeError(f"{type(self).__name__} does not define judge(answer) -> Verdict")

    def confirm(self, answer: Any, verdict: Verdict) -> Verdict:
        """Measure the answer of a run that has ended, where that is worth more care than a point of
        its trail; by default the verdict as it is. Of no use where a ledger's rows are answers.
        """
        return verdict

    def incumbent(self, ledger: Ledger) -> Any:
        """The answer that the rows of a ledger support; None where there are none. By default the
        best row.
        """
        return ledger.best(self.tolerance, self.names)

    def limit_sizes(self, frozen: Sequence[float] | None = None) -> Sizes | None:
        """What a ledger of its rows measures violations in, where only rows tell it; None where
        every limit has a size of its own.

        Args:
            frozen: The sizes of a ledger that was stored.
        """
        return None

    def remeasured(self, rows: Observations) -> Observations:
        """Stored rows with the constraints that its limits of now make of their metrics."""
        return rows

    def fingerprint(self) -> dict[str, Any]:
        """What identifies it: plain data that must stay as it is while a stored run goes on.

        Returns:
            A value by what it is of, each compared as a whole. Of "limits", a mapping, an entry
            that is there before and after must be the same; others may come and go. Empty: nothing
            is compared.
        """
        return {}

    def sources(self) -> dict[str, Any]:
        """What computes its values, by name: functions, classes and objects, whose source is kept
        with a stored run, so that a change is seen. By default its class.
        """
        return {"problem": type(self)}

    def declaration(self) -> dict[str, Any] | None:
        """What a store keeps so that its runs can be shown without the code that made it: plain
        data, which the room reads back (`Catalogue.stored`). None: its name and sense are all.
        """
        return None

    def unused(self, method: Method) -> list[str]:
        """What of the problem this method makes no use of, one sentence each."""
        return []

    def finish(self, reason: str) -> None:
        """A method of the active run is done, for this reason, while budget is left: evaluate what
        is still worth it. May raise StopRun.
        """

    # -- how it is shown ---------------------------------------------------------------------------

    names: tuple[str, ...] = ()
    """Names of an answer's components, where it has such."""
    sign: float = 1.0
    """-1 where people maximise: what they see is `sign` times what is minimised."""
    objective_title: ClassVar[str] = "objective"
    """Heading of what is minimised or maximised, with its unit."""

    def present(self, answer: Any) -> Any:
        """The answer as a person should get it; by default as it is."""
        return answer

    def describe(self, answer: Any, verdict: Verdict) -> list[tuple[str, ...]]:
        """An answer and its constraints, as rows of text for people."""
        return [("answer", str(answer))]

    def reached(self, verdict: Verdict) -> str:
        """What a feasible answer reached, in a few words."""
        return f"objective {self.sign * verdict.objective:.8g}"

    def listing(self, answer: Any) -> list[str]:
        """An answer as a few lines of text, where it has more to say than its verdict."""
        return []

    def picture(self, answer: Any) -> go.Figure | None:
        """An answer as a picture, where it has one: what `Result.plot` draws."""
        return None

    def cloud(self, rows: Observations) -> Cloud | None:
        """The rows of a ledger by their objectives, where it has several."""
        return None

    def design(self, answer: Any) -> dict[str, Any] | None:
        """An answer's components by name, as plain data for scripts; None where it has none."""
        return None

    def frame(self, rows: Observations) -> pd.DataFrame:
        """The rows of a ledger as a pandas DataFrame, for people."""
        import pandas as pd

        return pd.DataFrame(
            {
                "id": rows.id,
                **dict(zip(rows.columns, rows.values.T, strict=True)),
                "violation": rows.violation,
            }
        )

    def about(self) -> str:
        """What it is, for `feasible explain`."""
        return inspect.getdoc(self) or ""

    def outline(self) -> list[str]:
        """What `feasible explain` prints of it, as lines: its variables and limits, where it has
        such.
        """
        return []

    def facts(self) -> dict[str, Any]:
        """What `feasible explain --json` and `problems --json` say of it, as plain data."""
        return {}

    # -- what people and workers do of it ----------------------------------------------------------

    def experiments(self) -> Experiments | None:
        """What hands its experiments out to people and workers and reads their results (`feasible
        ask` and `tell`); None where it has no such experiments.
        """
        return None

    def best_answer(self) -> Any:
        """The best answer of the literature, where it is known and judging it costs nothing."""
        return None

    endings: ClassVar[tuple[str, ...]] = (".json", ".csv", ".npz", ".npy")
    """Endings of the files that `Result.save` and `feasible solve --output` write answers to."""

    def write(self, answer: Any, path: str) -> None:
        """Write an answer to a file whose ending is this problem's own: of `endings`, but none of
        the four that all problems have. Raises ArgumentError where there is no such format.
        """
        raise ArgumentError(
            f"output={path!r}: the answers of a {type(self).__name__} have no file format; `show` "
            "prints them"
        )


@dataclass(frozen=True)
class Method(Checked):
    """A published method with its settings (the dataclass fields), which are checked against their
    annotations before anything else. No hidden state, no globals.

    `solves` names the Problem class it takes. A method whose algorithm owns its loop (a solver of
    another library) is one step that calls `feasible.offer(answer)` whenever it has a new answer,
    so that its runs have curves too.
    """

    solves: ClassVar[type[Problem]] = Problem
    name: ClassVar[str] = "method"
    several: ClassVar[bool] = False
    """True if it takes problems with several objectives."""
    avoids: ClassVar[bool] = False
    """True if its proposals pass the problem's guard, which keeps them away from failed points and
    from repeats; False where a solver of another library must see its own points evaluated.
    """
    asks: ClassVar[bool] = False
    """True if it also has ask(problem, state, n) and tell(problem, state, seen), so that others may
    make the evaluations.
    """
    learns: ClassVar[bool] = True
    """False if it asks for the same points whatever it is told, so that several may be handed out
    at once.
    """
    recommends: ClassVar[bool] = False
    """True if, of paid evaluations, its own answer counts rather than the row that looks best:
    where values are noisy that is the luckiest one.
    """
    uses_errors: ClassVar[bool] = False
    """True if it takes the standard error of an objective (`NAME_se`) as its noise."""
    uses_beforehand: ClassVar[bool | tuple[str, ...]] = False
    """What it learns from of what is known beforehand: "descriptors" of choices, "history" (an
    earlier study); True for both.
    """
    requires: ClassVar[tuple[str, ...]] = ()
    """Modules of an extra without which it cannot begin."""

    def check_installed(self) -> None:
        """Raise MissingExtra, with what to install, where a package that it needs is missing."""
        for module in self.requires:
            check_module(module, f"method '{self.name}'")

    def check_problem(self, problem: Problem) -> None:
        """Raise WrongProblem where it does not solve this problem."""
        if not isinstance(problem, self.solves):
            raise WrongProblem(
                f"method {self.name} solves {self.solves.__name__}, got the "
                f"{type(problem).__name__} '{problem.name}'"
            )
        if problem.several and not self.several:
            raise WrongProblem(
                f"method {self.name} takes one objective, got '{problem.name}', which has several; "
                "without a method named, one that takes several is chosen"
            )

    def least(self, problem: Any) -> int:
        """Evaluations that it needs to do more than start; with fewer a run warns."""
        return 0

    def projected_spend(self, problem: Any, budget: Budget) -> list[str]:
        """What a run can spend at most, one sentence each, which `solve` prints before it begins;
        none where the budget says it all.
        """
        return []

    def init(self, problem: Any, rng: np.random.Generator) -> Any:
        """Allocate the state; may spend."""
        raise TypeError(f"{type(self).__name__} does not define init(problem, rng)")

    def step(self, problem: Any, state: Any) -> Any:
        """One natural unit of progress; may update the state in place and return it."""
        raise TypeError(f"{type(self).__name__} does not define step(problem, state)")

    def answer(self, problem: Any, state: Any) -> Any:
        """What the method would answer now. Must not alias what later steps change."""
        raise TypeError(f"{type(self).__name__} does not define answer(problem, state)")

    def done(self, problem: Any, state: Any) -> str | None:
        """Why it has converged or cannot go on, in a sentence; None to go on."""
        return None

    def recommend(self, problem: Any, state: Any) -> int | None:
        """The number in the ledger of the row that it would answer, where that is another than the
        row of the best value; needs no run.
        """
        return None

    def remarks(self, problem: Any, state: Any) -> list[str]:
        """What the result should say of its answer, one sentence each."""
        return []
