"""Pictures of a race (Plotly): convergence, feasibility, profiles, final values, ranks.

A method has the same colour, dash and marker in every figure of a race. Infeasible answers are
never drawn as if they counted:
curves of the best so far begin where the first answer is feasible. Every name is escaped, since
Plotly renders some markup.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from . import profiles
from .standings import (
    BEATEN,
    Reference,
    Standings,
    finished,
    outcome,
    quantile,
    reference,
    user_value,
)
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
    """How a method is drawn."""

    colour: str
    dash: str
    marker: str

    def faint(self, alpha: float = 0.15) -> str:
        """The colour for areas."""
        red, green, blue = (int(self.colour[i : i + 2], 16) for i in (1, 3, 5))
        return f"rgba({red},{green},{blue},{alpha})"


def method_styles(methods: Sequence[str]) -> dict[str, Style]:
    """Colour, dash and marker by method, by position: a method that is added at the end changes no
    other.
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


# --------------------------------------------------------------------------------------------------
# curves over what was spent


def convergence(race: Race, problem: str, log_x: bool | None = None) -> go.Figure:
    """Median over the seeds of the best feasible answer so far, with the band between the
    quartiles.

    Vertical: gap to the best known value (logarithmic); the objective in the user's sense where
      that is unknown, beaten or maximised.
    A seed with nothing feasible yet counts as worse than all others, so the median begins when half
    of the seeds are feasible.
    log_x: None chooses a logarithmic axis when it spans more than a factor of 500.
    """
    contest, axis = race.contest(problem), profiles.resource(race)
    height, title, log_y = _height(race, contest)
    groups, styles = finished(race), method_styles(race.methods)
    figure = _figure(f"Convergence on {label(problem, 60)}: {label(contest.objective)}")
    starts: list[float] = []
    for m in race.methods:
        paths = [profiles.trajectory(t, axis) for t in groups[problem, m].values()]
        grid = _thin(np.unique(np.concatenate([x for x, _ in paths]))) if paths else np.empty(0)
        if not len(grid):
            _add_curve(figure, grid, grid, f"{label(m)} (none feasible)", styles[m], height)
            continue
        values = np.stack([_held(x, y, grid) for x, y in paths])
        low, middle, high = (
            np.array([quantile(column, q) for column in values.T]) for q in (0.25, 0.5, 0.75)
        )
        if np.isfinite(middle).any():
            starts.append(float(grid[np.isfinite(middle)][0]))
        name = label(m) + ("" if np.isfinite(middle).any() else " (most infeasible)")
        _add_curve(figure, grid, middle, name, styles[m], height)
        _add_band(figure, grid, low, high, m, styles[m], height)
    _spent_axis(figure, race, starts, log_x)
    figure.update_yaxes(
        title_text=title,
        type="log" if log_y else "linear",
        **({"exponentformat": "power", "dtick": 1} if log_y else {}),
    )
    if not starts:
        _say(figure, "no method is feasible in half of its trials")
    return figure


def feasible_rate(race: Race, problem: str | None = None) -> go.Figure:
    """Share of finished trials whose answer is feasible, over what was spent; of one problem or of
    all. Failed trials count as infeasible.
    """
    axis, groups, styles = profiles.resource(race), finished(race), method_styles(race.methods)
    figure = _figure(
        "Feasible answers" + (f" on {label(problem, 60)}" if problem is not None else "")
    )
    chosen = [c.name for c in race.contests if problem is None or c.name == problem]
    end = profiles.limit(race)
    for m in race.methods:
        trials = [t for name in chosen for t in groups[name, m].values()]
        if not trials:
            continue
        firsts = np.sort([profiles.first_feasible(t, axis) for t in trials])
        grid = _thin(np.unique(np.concatenate([[0.0], firsts[np.isfinite(firsts)], [end]])))
        shares = np.searchsorted(firsts, grid, side="right") / len(trials)
        _add_curve(figure, grid, shares, label(m), styles[m], lambda y: y)
    _spent_axis(figure, race, [], False)
    figure.update_yaxes(
        title_text="share of trials that are feasible", range=[-0.03, 1.03], tickformat=".0%"
    )
    return figure


# --------------------------------------------------------------------------------------------------
# profiles


def performance_profile(race: Race, tau: float = profiles.TAU) -> go.Figure:
    """Dolan-Moré: how often each method was at most so many times slower than the fastest."""
    frame = profiles.performance_profile(race, tau)
    figure = _profile_figure(
        race,
        frame,
        f"Performance profile (target: within {_tau(tau)} of the reference)",
        f"{profiles.resource(race)} relative to the fastest method",
        "share of (problem, seed) solved",
    )
    figure.update_xaxes(
        type="log",
        range=[0, math.log10(max(2.0, float(frame.index.max()) * 1.3 if len(frame) else 2.0))],
    )
    return figure


def data_profile(race: Race, tau: float = profiles.TAU) -> go.Figure:
    """Moré-Wild: share of trials solved after so many groups of d + 1 evaluations."""
    frame = profiles.data_profile(race, tau)
    return _profile_figure(
        race,
        frame,
        f"Data profile (target: within {_tau(tau)} of the reference)",
        f"{profiles.resource(race)} / (number of variables + 1)",
        "share of trials solved",
    )


def ecdf(race: Race) -> go.Figure:
    """Share of (trial, target) reached, over the fraction of the budget."""
    figure = _profile_figure(
        race,
        profiles.ecdf(race),
        f"Targets reached (gaps from {profiles.TARGETS[0]:g} to {profiles.TARGETS[-1]:g})",
        f"fraction of the budget ({profiles.limit(race):g} {profiles.resource(race)})",
        "share of targets reached",
    )
    figure.update_xaxes(range=[0, 1], tickformat=".0%")
    return figure


def _profile_figure(race: Race, frame: pd.DataFrame, title: str, x: str, y: str) -> go.Figure:
    figure, styles = _figure(title), method_styles(race.methods)
    for m in frame.columns if len(frame) else []:
        keep = _thin(np.arange(len(frame)))
        grid, shares = frame.index.to_numpy(dtype=float)[keep], frame[m].to_numpy(dtype=float)[keep]
        if len(grid) and np.isfinite(grid[-1]):
            grid, shares = (
                np.append(grid, max(grid[-1] * 1.3, grid[-1] + 1e-9)),
                np.append(shares, shares[-1]),
            )
        _add_curve(figure, grid, shares, label(m), styles[m], lambda s: s)
    figure.update_xaxes(title_text=label(x, 80))
    figure.update_yaxes(title_text=y, range=[-0.03, 1.03], tickformat=".0%")
    if not figure.data:
        _say(figure, "no finished trials to compare")
    return figure


def _tau(tau: float) -> str:
    return f"{100 * tau:g} %"


# --------------------------------------------------------------------------------------------------
# final values and ranks


def final_values(race: Race, problem: str) -> go.Figure:
    """Final feasible answers of all seeds by method: box (from five seeds on) with every trial as a
    point; how many are not there is said.
    """
    contest = race.contest(problem)
    height, title, log = _height(race, contest)
    groups, styles = finished(race), method_styles(race.methods)
    figure = _figure(f"Final answers on {label(problem, 60)}: {label(contest.objective)}")
    ticks = []
    for i, m in enumerate(race.methods):
        trials = list(groups[problem, m].values())
        good = [t for t in trials if outcome(t).feasible and math.isfinite(t.objective)]
        ticks.append(
            label(m)
            + (
                f"<br><sub>{len(good)} of {len(trials)} feasible</sub>"
                if len(good) < len(trials)
                else ""
            )
        )
        if good:
            values = height(np.array([t.objective for t in good]))
            line = styles[m].colour if len(good) >= 5 else "rgba(0,0,0,0)"
            figure.add_box(
                x=values,
                y=[i] * len(good),
                orientation="h",
                boxpoints="all",
                pointpos=0,
                jitter=0.5,
                name=label(m),
                line={"color": line, "width": 1.5},
                fillcolor=styles[m].faint(0.2 if len(good) >= 5 else 0.0),
                marker={
                    "color": styles[m].colour,
                    "size": 6,
                    "symbol": styles[m].marker,
                    "opacity": 0.8,
                },
                width=0.55,
                text=[f"seed {t.seed}" for t in good],
                hovertemplate="%{x:.6g}<br>%{text}<extra>%{fullData.name}</extra>",
            )
    _category_axis(figure, ticks)
    figure.update_xaxes(
        title_text=title,
        type="log" if log else "linear",
        **({"exponentformat": "power", "dtick": 1} if log else {}),
    )
    if not figure.data:
        _say(figure, "no method has a feasible answer")
    return figure


def ranks(result: Standings, methods: Sequence[str]) -> go.Figure:
    """Average rank by method, best on top; `methods` as in the race, for the colours."""
    frame, styles = result.ranks.dropna(subset=["rank"]), method_styles(methods)
    figure = _figure("Average rank (1 is best)")
    figure.add_bar(
        x=frame["rank"].tolist(),
        y=list(range(len(frame))),
        orientation="h",
        width=0.6,
        showlegend=False,
        marker={"color": [styles[m].colour for m in frame["method"]]},
        text=[f"{r:.2f}" for r in frame["rank"]],
        textposition="outside",
        cliponaxis=False,
        hovertemplate="%{text}<extra></extra>",
    )
    _category_axis(figure, [label(m) for m in frame["method"]])
    figure.update_xaxes(
        title_text="average rank",
        range=[0, max(2.0, 1.12 * float(frame["rank"].max() if len(frame) else 1))],
    )
    return figure


# --------------------------------------------------------------------------------------------------
# parts


def _figure(title: str) -> go.Figure:
    return go.Figure(layout={"template": _TEMPLATE, "title": {"text": title}, "showlegend": True})


def _height(
    race: Race, contest: Contest
) -> tuple[Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]], str, bool]:
    """From objectives to what is drawn; the title of that axis; whether it is logarithmic."""
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
    return np.maximum(ref.gap(y), FLOOR)  # type: ignore[arg-type, type-var]


def _held(
    x: Float[np.ndarray, " n"], y: Float[np.ndarray, " n"], grid: Float[np.ndarray, " k"]
) -> Float[np.ndarray, " k"]:
    """The last value of y at or before each grid point; infinite before the first."""
    return np.append(math.inf, y)[np.searchsorted(x, grid, side="right")]


def _thin(x: Float[np.ndarray, " n"]) -> Float[np.ndarray, " k"]:
    """At most MOST_POINTS of x, first and last among them."""
    return (
        x
        if len(x) <= MOST_POINTS
        else x[np.unique(np.linspace(0, len(x) - 1, MOST_POINTS).round().astype(int))]
    )


def _add_curve(
    figure: go.Figure,
    x: Float[np.ndarray, " n"],
    y: Float[np.ndarray, " n"],
    name: str,
    style: Style,
    height: Callable[[Float[np.ndarray, " n"]], Float[np.ndarray, " n"]],
) -> None:
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


def _add_band(
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


def _spent_axis(figure: go.Figure, race: Race, starts: Sequence[float], log: bool | None) -> None:
    axis, end = profiles.resource(race), profiles.limit(race)
    positive = [x for x in starts if x > 0]
    if log is None:
        log = bool(positive) and end / min(positive) > 500
    title = {"seconds": "time spent (s)"}.get(axis, f"{label(axis.replace('_', ' '))} spent")
    if log:
        figure.update_xaxes(title_text=title, type="log", exponentformat="power", dtick=1)
    else:
        figure.update_xaxes(title_text=title, range=[0, end * 1.01])


def _category_axis(figure: go.Figure, names: Sequence[str]) -> None:
    """Methods downwards, by position, so that no name can be taken for a number, a date or
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


def _say(figure: go.Figure, text: str) -> None:
    figure.add_annotation(
        text=text,
        x=0.5,
        y=0.5,
        xref="paper",
        yref="paper",
        showarrow=False,
        font={"size": 15, "color": "#888"},
    )
