"""What a race gives back: its trials, with standings, curves and tables."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from .trials import Race

if TYPE_CHECKING:
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

    def __repr__(self) -> str:
        from .words import in_words

        size = f"{len(self.contests)} problems x {len(self.methods)} methods x {len(self.seeds)}"
        return "\n".join([f"race {self.name}: {size} seeds", *in_words(self.standings)])

    def _repr_html_(self) -> str:
        """For notebooks: who won, in words, and the ranks."""
        ranks = self.standings.ranks.to_html(index=False, float_format="%.4g", border=0)
        return f"<p>{'<br>'.join(map(html.escape, repr(self).splitlines()))}</p>{ranks}"
