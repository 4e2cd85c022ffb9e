"""What a race gives back: its trials, with standings, curves and tables."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from .trials import Race

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

    from .standings import Standings


class RaceResult(Race):
    """A race as `feasible.race` returns it, finished or not; `Race` says what it holds."""

    __slots__ = ()

    @property
    def standings(self) -> Standings:
        """Who won: ranks, gaps, feasible rates and tests, of the trials as they are now."""
        from .standings import standings

        return standings(self)

    def plot(self, problem: str | None = None) -> go.Figure:
        """The best feasible answer so far over what was spent, median and quartiles over the seeds.

        Args:
            problem: On which; None: on the only one, or, of several, the share of the targets that
                each method had reached at each share of the budget.
        """
        from . import figures

        if problem is None and len(self.contests) != 1:
            return figures.ecdf(self)
        return figures.convergence(self, problem or self.contests[0].name)

    def to_frame(self) -> pd.DataFrame:
        """One row a trial as a pandas DataFrame: problem, method, seed, status, the objective in
        the user's sense, violation, feasible, what was spent, seconds, why it stopped or failed,
        and its run in the store.
        """
        import pandas as pd

        sense = {c.name: -1 if c.maximize else 1 for c in self.contests}
        return pd.DataFrame(
            [
                {
                    "problem": t.problem,
                    "method": t.method,
                    "seed": t.seed,
                    "status": t.status,
                    "objective": sense[t.problem] * t.objective,
                    "violation": t.violation,
                    "feasible": t.feasible,
                    **{k: v for k, v in t.spent.items() if k != "seconds"},
                    "seconds": t.seconds,
                    "stopped": t.error or t.stopped,
                    "run": t.run,
                }
                for t in self.trials
            ]
        )

    def __repr__(self) -> str:
        from .words import in_words

        size = f"{len(self.contests)} problems x {len(self.methods)} methods x {len(self.seeds)}"
        return "\n".join([f"race {self.name}: {size} seeds", *in_words(self.standings)])

    def _repr_html_(self) -> str:
        """For notebooks: who won, in words, and the ranks."""
        ranks = self.standings.ranks.to_html(index=False, float_format="%.4g", border=0)
        return f"<p>{'<br>'.join(map(html.escape, repr(self).splitlines()))}</p>{ranks}"
