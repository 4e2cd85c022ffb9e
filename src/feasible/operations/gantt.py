"""Schedules as Gantt charts, and as a few lines of text."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Float

    from .routes import Routes

TALLEST = 1200
"""Most pixels of a chart's height."""
SHOWN = 5000
"""Most operations that are drawn: the first ones."""
LINES = 20
"""Most machines that are listed as text."""


class Drawn(Protocol):
    """What is read of a `JobShop`."""

    name: str
    routes: Routes
    exact: np.ndarray
    jobs: Sequence[str]

    def starts_of(self, answer: Any) -> Float[np.ndarray, " ops"]:
        """Read an answer."""


def gantt(shop: Drawn, answer: Any, title: str | None = None) -> go.Figure:
    """Draw a schedule: a row for each machine, a bar for each operation, a colour for each job.

    Args:
        shop: A JobShop.
        answer: A Schedule or starts.
        title: Of the chart; None: the shop's name and the makespan.

    Returns:
        A Plotly figure. Of more than 5,000 operations the first ones are drawn, and the title says
        so.
    """
    import plotly.graph_objects as go

    starts, r = shop.starts_of(answer), shop.routes
    ends = starts + shop.exact
    order = np.argsort(starts, kind="stable")
    order = order[np.isfinite(starts[order])]
    drawn, n = order[:SHOWN], r.n
    job, place = r.job, r.place
    figure = go.Figure()
    last = float(ends[order].max()) if len(order) else 0.0
    for j in np.unique(job[drawn]).tolist():
        rows = drawn[job[drawn] == j]
        hue = colorsys.hls_to_rgb((j * 0.618034) % 1.0, 0.42 + 0.2 * (j % 3 == 1), 0.55)
        figure.add_bar(
            orientation="h",
            base=starts[rows],
            x=shop.exact[rows],
            y=[r.names[k] for k in r.machine[rows]],
            name=shop.jobs[j],
            marker={"color": "rgb({})".format(",".join(str(round(255 * c)) for c in hue))},
            customdata=np.stack([place[rows], starts[rows], ends[rows]], axis=1),
            hovertemplate=f"job {shop.jobs[j]}, operation %{{customdata[0]}}<br>machine %{{y}}<br>"
            "%{customdata[1]:.6g} to %{customdata[2]:.6g}<extra></extra>",
        )
    cut = f", the first {SHOWN} of {len(order)} operations" if len(order) > SHOWN else ""
    figure.update_layout(
        title=title or f"{shop.name}: makespan {last:g}{cut}",
        barmode="overlay",
        bargap=0.15,
        template="plotly_white",
        height=min(140 + 26 * len(r.names), TALLEST),
        showlegend=n <= 30,
        legend_title_text="job",
        xaxis_title="time",
        yaxis={
            "title": "machine",
            "type": "category",
            "categoryorder": "array",
            "categoryarray": list(r.names)[::-1],
        },
    )
    return figure


def machine_rows(shop: Drawn, answer: Any) -> list[str]:
    """Return what each machine does, as text: the first operations of the first machines."""
    starts, r = shop.starts_of(answer), shop.routes
    lines = []
    job = r.job
    for m, name in list(enumerate(r.names))[:LINES]:
        own = np.flatnonzero((r.machine == m) & np.isfinite(starts))
        own = own[np.argsort(starts[own], kind="stable")]
        parts = [
            f"{shop.jobs[job[k]]} {starts[k]:g}-{starts[k] + shop.exact[k]:g}" for k in own[:8]
        ]
        lines.append(f"machine {name}: {', '.join(parts)}{', ...' if len(own) > 8 else ''}")
    if len(r.names) > LINES:
        lines.append(f"... and {len(r.names) - LINES} machines more")
    return lines
