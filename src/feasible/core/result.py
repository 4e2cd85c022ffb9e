"""What a run gives back: the best answer, its verdict, what was spent, the trail, and why it
stopped.
"""

from __future__ import annotations

import html
import os
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .budget import Budget
from .errors import ArgumentError
from .ledger import Ledger, Observation
from .output import arrays_of, check_output, write_answer
from .pareto import pareto, plotted
from .plain import finite, verdict_data
from .problem import Problem
from .rows import HEADERS as HEADERS, aligned, html_table, with_states
from .trail import Point
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


@dataclass(slots=True)
class Result:
    """The best answer a run found.

    Attributes:
        problem: What was solved.
        method: What people call the method.
        answer: For a black box an Observation (works as the vector x); else what the problem's
            answers are. None where there is none.
        verdict: The independent measurement of it.
        spent: Units by resource, seconds included.
        trail: What the run would have answered, judged on a geometric grid.
        stopped: Why it ended, in a sentence.
        seed: From which all its randomness derived.
        budget: What it might spend.
        steps: That the method finished.
        versions: Of everything that was imported.
        ledger: Every evaluation that was paid for, where the problem keeps one.
        run: Its name in the store, if it was stored.
        chosen: Why this method was chosen, where the room chose it.
        notes: Warnings and failures worth knowing, one sentence each.
    """

    problem: Problem
    method: str
    answer: Any
    verdict: Verdict
    spent: dict[str, float]
    trail: list[Point]
    stopped: str
    seed: int
    budget: Budget
    steps: int
    versions: dict[str, str]
    ledger: Ledger
    run: str | None = None
    chosen: str | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def best(self) -> Any:
        """The best measured answer (the same as `answer`)."""
        return self.answer

    @property
    def design(self) -> dict[str, Any] | None:
        """The answer's components by name, as plain data: categories by their choice, whole
        numbers as int. None where it has none.
        """
        return self.problem.design(self.answer)

    def table(self) -> list[tuple[str, ...]]:
        """Design and constraints as rows of text, for people; each constraint with its state."""
        return with_states(self.problem.describe(self.answer, self.verdict), self.verdict)

    def to_dict(self) -> dict[str, Any]:
        """All of it but its rows and the trail as plain data: what `feasible solve --json` prints.

        `objective` and the verdict's are to be minimised; `design` holds typed values by name,
        `metrics` of the verdict what was measured, in the user's sense and units.
        """
        seen = isinstance(self.answer, Observation)
        rows = self.ledger.all() if self.problem.several else None
        cloud = None if rows is None else self.problem.cloud(rows)
        return {
            "run": self.run,
            "problem": self.problem.name,
            "method": self.method,
            "seed": self.seed,
            "design": self.design,
            "answer": [float(v) for v in self.answer] if seen else None,
            "id": self.answer.id if seen else None,
            "objective": finite(self.verdict.objective),
            "feasible": self.verdict.feasible,
            "verdict": verdict_data(self.verdict),
            "budget": dict(self.budget),
            "spent": self.spent,
            "evaluations": self.ledger.count,
            "seconds": self.spent.get("seconds", 0.0),
            "steps": self.steps,
            "stopped": self.stopped,
            "chosen": self.chosen,
            "notes": self.notes,
            "versions": self.versions,
            "cloud": None if cloud is None else cloud.plain(),
            "table": [list(r) for r in self.table()],
        }

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the answer to a file.

        Args:
            path: Its ending says how: .json (`to_dict`, and the answer's arrays where it has no
                design), .csv (the design with what was measured, a row for each point; else the
                arrays), .npz and .npy (the arrays), or one of the problem's own, such as
                .safetensors for trained weights; see `problem.endings`.

        Returns:
            The path.

        Raises:
            ArgumentError: The ending is none of the problem's, nothing can be written there, or
                there is no answer.
        """
        file = check_output(self.problem, path)
        if self.answer is None:
            raise ArgumentError(f"output={str(path)!r}: the run has no answer to write")
        if file.suffix.lower() not in Problem.endings:
            self.problem.write(self.answer, str(file))
            return file
        document, design = self.to_dict(), self.design
        if Problem.endings[-2] not in self.problem.endings:  # no arrays, but figures
            design = {**self.verdict.metrics, "objective": self.verdict.objective}
        elif design is None:
            document["arrays"] = arrays_of(self.answer)
        elif isinstance(self.answer, Observation):
            design |= {k: v for k, v in self.verdict.metrics.items() if k not in design}
            design |= {"violation": self.verdict.violation, "feasible": self.verdict.feasible}
        write_answer(file, document, self.answer, design=design)
        return file

    def to_frame(self) -> pd.DataFrame:
        """One row per evaluation (black box), otherwise one row per trail point, as a pandas
        DataFrame.
        """
        import pandas as pd

        rows = self.ledger.all()
        if rows is not None:
            return self.problem.frame(rows)
        return pd.DataFrame(
            [
                {
                    "step": p.step,
                    **p.spent,
                    "seconds": p.seconds,
                    "objective": p.verdict.objective,
                    "violation": p.verdict.violation,
                    "feasible": p.verdict.feasible,
                }
                for p in self.trail
            ]
        )

    def plot(self, curve: bool = False) -> go.Figure:
        """The picture of the answer, where the problem draws one (a schedule). Else, of one
        objective, convergence: its best value against what was spent; infeasible stretches are
        drawn by their violation. Of several, all evaluations by their objectives, and the front.

        Args:
            curve: Draw convergence where the answer has a picture too.
        """
        if not curve and (drawn := self.picture()) is not None:
            return drawn
        rows = self.ledger.all() if self.problem.several else None
        if rows is not None and (cloud := self.problem.cloud(rows)) is not None:
            return pareto({self.method: cloud}, f"{self.problem.name}: {self.method}")
        import plotly.graph_objects as go

        axis = next((r for r in self.budget if r != "seconds"), "seconds")
        sense = self.problem.sign

        def at(p: Point) -> float:
            return p.seconds if axis == "seconds" else p.spent.get(axis, p.step)

        good = [p for p in self.trail if p.verdict.feasible]
        bad = [p for p in self.trail if not p.verdict.feasible]
        figure = go.Figure()
        figure.add_scatter(
            x=[at(p) for p in good],
            y=[sense * p.verdict.objective for p in good],
            mode="lines+markers",
            name="best feasible",
            line_shape="hv",
        )
        if bad:
            figure.add_scatter(
                x=[at(p) for p in bad],
                y=[p.verdict.violation for p in bad],
                mode="lines+markers",
                name="least violation",
                yaxis="y2",
                line={"dash": "dot"},
            )
            figure.update_layout(yaxis2={"title": "violation", "overlaying": "y", "side": "right"})
        title = f"{self.problem.name}: {self.method}"
        figure.update_layout(
            title=plotted(title),
            xaxis_title=axis,
            yaxis_title=plotted(f"best {self.problem.objective_title}"),
            template="plotly_white",
        )
        return figure

    def picture(self) -> go.Figure | None:
        """The answer as a picture, where the problem draws one."""
        return None if self.answer is None else self.problem.picture(self.answer)

    def text(self) -> str:
        """The answer's verdict, why the run stopped and what was spent, as a few lines."""
        head = f"{self.problem.name} by {self.method}: "
        if self.verdict.feasible:
            head += f"{self.problem.reached(self.verdict)}, feasible"
        elif self.answer is None:
            head += "no answer"
        elif self.verdict.unmeasured:
            head += "no feasible point found; no evaluation gave the objective and all limits"
        else:
            head += f"no feasible point found; least violation {self.verdict.violation:.3g}"
            if self.verdict.worst:
                head += f" (worst: {self.verdict.worst})"
        spent = ", ".join(
            f"{v:g} {k}" if k != "seconds" else f"{v:.2f} s" for k, v in self.spent.items() if v
        )
        lines = [head, f"stopped: {self.stopped}", f"spent: {spent}", *self.notes]
        return "\n".join(lines)

    def __str__(self) -> str:
        shown = self.problem.listing(self.answer) or aligned(self.table())
        return "\n".join([self.text(), *shown])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks: the verdict in a few lines, then design and constraints as a table."""
        return f"<pre>{html.escape(self.text())}</pre>{html_table(self.table())}"


class Unfinished(Result):
    """What a run had found when an exception ended it: the exception's `result`.

    It stays in the process. Where the exception travels to another one, its `result` is None there,
    as problems need not travel.
    """

    __slots__ = ()

    @classmethod
    def of(cls, result: Result) -> Unfinished:
        """The same figures."""
        return cls(**{f.name: getattr(result, f.name) for f in fields(result)})

    def __reduce__(self) -> tuple[type, tuple[()]]:
        return type(None), ()
