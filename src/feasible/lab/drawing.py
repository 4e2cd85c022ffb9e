"""What the figures of a race share: colours, axes, curves and bands.

Every name is escaped, since Plotly renders some markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import plotly.graph_objects as go

from . import profiles
from .outcomes import BEATEN, Reference, outcome, reference, user_value
from .trials import Contest, Race

if TYPE_CHECKING:
    from jaxtyping import Float


COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#8C564B",
    "#7F7F7F",
    "#AA4499",
    "#999933",
    "#44AA99",
    "#5566CC",
)
"""After Okabe and Ito, and Tol: distinguishable by colour-blind readers, legible on white and on
dark grey.
"""
DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")
MARKERS = (
    "circle",
    "square",
    "diamond",
    "triangle-up",
    "cross",
    "x",
    "triangle-down",
    "star",
    "pentagon",
    "hexagon",
    "bowtie",
    "hourglass",
)
FLOOR = 1e-9
"""Gaps below this are drawn at it: a logarithmic axis has no zero."""
MOST_POINTS = 200
"""Points of a curve."""

_GRID = "rgba(128,128,128,0.22)"
_AXIS = {
    "gridcolor": _GRID,
    "linecolor": "rgba(128,128,128,0.6)",
    "zeroline": False,
    "showline": True,
    "ticks": "outside",
    "tickcolor": "rgba(128,128,128,0.6)",
    "title": {"standoff": 10},
    "automargin": True,
}
_TEMPLATE = go.layout.Template(
    layout={
        "font": {
            "family": "system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif",
            "size": 13,
            "color": "#333",
        },
        "paper_bgcolor": "white",
        "plot_bgcolor": "white",
        "xaxis": _AXIS,
        "yaxis": _AXIS,
        "hovermode": "closest",
        "margin": {"l": 70, "r": 20, "t": 44, "b": 60},
        "title": {"x": 0, "xref": "paper", "font": {"size": 15}},
        "legend": {
            "x": 1.02,
            "y": 1,
            "xanchor": "left",
            "yanchor": "top",
            "bgcolor": "rgba(0,0,0,0)",
        },
        "hoverlabel": {"namelength": 40},
    }
)


@dataclass(frozen=True)
class Style:
    """How a method is drawn.

    Attributes:
        colour: As #rrggbb.
        dash: Plotly's name of the line.
        marker: Plotly's name of the point.
    """

    colour: str
    dash: str
    marker: str

    def faint(self, alpha: float = 0.15) -> str:
        """Return the colour for areas.

        Args:
            alpha: Opacity, from 0 to 1.
        """
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{alpha})"


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """Return colour, dash and marker by method, by position: a method that is added at the end
    changes no other.
    """
    return {
        m: Style(COLOURS[i % 12], DASHES[(i + i // 12) % 6], MARKERS[i % 12])
        for i, m in enumerate(methods)
    }


def label(text: str, most: int = 40) -> str:
    """Text that Plotly shows as it stands: shortened, on one line, its HTML-like and TeX markup
    escaped.
    """
    line = "".join(c if c.isprintable() else " " for c in text)
    short = line if len(line) <= most else line[: most - 1] + "…"
    return html.escape(short).replace("$", "&#36;")


def blank(title: str) -> go.Figure:
    """Return an empty figure in the house's style."""
    return go.Figure(layout={"template": _TEMPLATE, "title": {"text": title}, "showlegend": True})


def vertical(
    race: Race, contest: Contest
) -> tuple[Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]], str, bool]:
    """Return what turns objectives into what is drawn, the title of that axis, and whether it is
    logarithmic: gaps where a best known value is there and nobody beat it.
    """
    ref = reference(race, contest)
    beaten = ref is not None and any(
        ref.gap(t.objective) < -BEATEN
        for t in race.trials
        if t.problem == contest.name and outcome(t).feasible
    )
    if ref is None or not ref.known or contest.maximize or beaten:
        return (
            lambda y: np.asarray(user_value(contest, y), dtype=float),
            label(contest.objective),
            False,
        )  # type: ignore[arg-type]
    return (
        lambda y: _gap(ref, y),
        "difference to best known" if ref.absolute else "relative gap to best known",
        True,
    )


def _gap(ref: Reference, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Return gaps that a logarithmic axis can show."""
    return np.maximum(ref.gap(y), FLOOR)  # type: ignore[arg-type, type-var]


def held(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], grid: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """Return the last value of y at or before each grid point; infinite before the first."""
    return np.append(math.inf, y)[np.searchsorted(x, grid, side="right")]


def thin(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """Return at most MOST_POINTS of x, first and last among them."""
    return (
        x
        if len(x) <= MOST_POINTS
        else x[np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))]
    )


def add_curve(
    figure: go.Figure,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    name: str,
    style: Style,
    height: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]],
) -> None:
    """Add a curve in steps, and a marker where it ends; what is not finite is not drawn."""
    drawn = np.isfinite(y)
    if not drawn.any():  # kept in the legend, which leaves out what has no point at all
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            name=name,
            line={"color": style.colour, "dash": style.dash, "shape": "hv"},
        )
        return
    figure.add_scatter(
        x=x[drawn],
        y=height(y[drawn]),
        mode="lines" if drawn.sum() != 1 else "markers",
        name=name,
        legendgroup=name,
        line={"color": style.colour, "dash": style.dash, "width": 2.2, "shape": "hv"},
        marker={"symbol": style.marker},
        hovertemplate="%{x:.4g}, %{y:.4g}<extra>%{fullData.name}</extra>",
    )


def add_band(
    figure: go.Figure,
    x: Float[np.ndarray, " n"],
    low: Float[np.ndarray, " n"],
    high: Float[np.ndarray, " n"],
    method: str,
    style: Style,
    height: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]],
) -> None:
    """Between the quartiles, where both are feasible."""
    drawn = np.isfinite(high) & np.isfinite(low)
    if drawn.sum() < 2 or (high[drawn] == low[drawn]).all():
        return
    for y, fill in ((low, None), (high, "tonexty")):
        figure.add_scatter(
            x=x[drawn],
            y=height(y[drawn]),
            mode="lines",
            line={"width": 0, "shape": "hv", "color": style.colour},
            fill=fill,
            fillcolor=style.faint(),
            legendgroup=label(method),
            showlegend=False,
            hoverinfo="skip",
            name=label(method),
        )


def spent_axis(figure: go.Figure, race: Race, starts: Sequence[float], log: bool | None) -> None:
    """Say on the horizontal axis what is spent; log None: where it spans over a factor of 500."""
    axis, end = profiles.resource(race), profiles.limit(race)
    positive = [x for x in starts if x > 0]
    if log is None:
        log = bool(positive) and end / min(positive) > 500
    title = {"seconds": "time spent (s)"}.get(axis, f"{label(axis.replace('_', ' '))} spent")
    if log:
        figure.update_xaxes(title_text=title, type="log", exponentformat="power", dtick=1)
    else:
        figure.update_xaxes(title_text=title, range=[0, end * 1.01])


def category_axis(figure: go.Figure, names: Sequence[str]) -> None:
    """Put methods downwards, by position, so that no name can be taken for a number, a date or
    another's.
    """
    figure.update_yaxes(
        tickmode="array",
        tickvals=list(range(len(names))),
        ticktext=list(names),
        range=[len(names) - 0.4, -0.6],
        showgrid=False,
        ticks="",
        showline=False,
        ticklabelstandoff=8,
    )
    figure.update_layout(showlegend=False, height=max(220, 120 + 46 * len(names)))


def say(figure: go.Figure, text: str) -> None:
    """Write a sentence where there is nothing to draw."""
    figure.add_annotation(
        text=text,
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 15, "color": "#888"},
    )
