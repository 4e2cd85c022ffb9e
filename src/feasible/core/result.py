"""What a run gives back: the best answer, its verdict, what was spent, the trail, and why it
stopped.
"""

from __future__ import annotations

import html
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from .budget import Budget
from .ledger import Ledger
from .pareto import pareto, plotted
from .problem import Problem
from .trail import Point
from .verdict import Verdict

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go


HEADERS = ("variable", "metric", "point")
"""First cells of the header rows in a table of an answer."""


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

    def table(self) -> list[tuple[str, ...]]:
        """Design and constraints as rows of text, for people."""
        return self.problem.describe(self.answer, self.verdict)

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

    def plot(self) -> go.Figure:
        """Of one objective, convergence: its best value against what was spent; infeasible
        stretches are drawn by their violation. Of several, all evaluations by their objectives,
        and the front.
        """
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

    def text(self) -> str:
        """The answer's verdict, why the run stopped and what was spent, as a few lines."""
        head = f"{self.problem.name} by {self.method}: "
        if self.verdict.feasible:
            head += f"{self.problem.reached(self.verdict)}, feasible"
        elif self.answer is None:
            head += "no answer"
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
        return "\n".join([self.text(), *self.problem.listing(self.answer)])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """For notebooks: the design and its constraints as a table."""

        def row(cells: tuple[str, ...], tag: str) -> str:
            return (
                "<tr>"
                + "".join(f"<{tag} style='text-align:left'>{html.escape(c)}</{tag}>" for c in cells)
                + "</tr>"
            )

        rows = self.table()
        body = "".join(row(r, "th" if r[0] in HEADERS else "td") for r in rows)
        return f"<pre>{html.escape(str(self))}</pre><table>{body}</table>"
