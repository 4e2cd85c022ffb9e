"""Figures of a study: how variables and results go together, and a model of the dashboard's own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.ledger import DONE, INFEASIBLE
from ...core.pareto import plotted
from ..drawing import COLOURS, blank, say
from ..html import Picture, picture

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    from ...core.result import Result

MOST = 2_000
"""Experiments that a figure draws: the newest."""
MODELLED = 300
"""Experiments that the model is fitted to: the newest."""
GRID = 40
"""Points of a contour along each axis."""
SLICES = 12
"""Most variables that have a slice each."""
SHADES = ("#a6bddb", "#74a9cf", "#3690c0", "#0570b0", "#6a51a3")
"""Colours from the worst fifth to the best, legible on white and on dark grey."""
BAD = "#b0b0b0"
"""Colour of what is infeasible."""


@dataclass(frozen=True)
class Told:
    """What was told of a study, as figures need it.

    Attributes:
        name: Of the study's problem.
        variables: Names of the variables.
        x: (n, d) each experiment's variables, categories by their number.
        choices: Of each variable that is no number, its choices in the order of their numbers.
        y: (n,) the objective in the user's sense; NaN where there is none.
        feasible: (n,) whether the limits are kept.
        title: Of the objective.
        sign: -1 where it is maximised.
    """

    name: str
    variables: list[str]
    x: Float[np.ndarray, "n d"]
    choices: dict[str, list[str]]
    y: Float[np.ndarray, " n"]
    feasible: Bool[np.ndarray, " n"]
    title: str
    sign: float


def told_of(result: Result, problem: Any) -> Told:
    """Return what was told of a study.

    Args:
        result: Of the study as it stands.
        problem: Of the study.
    """
    rows = result.ledger.all()
    names = [str(n) for n in problem.names]
    blank_one = np.empty((0, len(names)))
    if rows is None:
        empty = np.empty(0)
        return Told(
            *(problem.name, names, blank_one, {}, empty, empty.astype(bool)),
            *(problem.objective_title, problem.sign),
        )
    ended = np.isin(rows.status, (DONE, INFEASIBLE))
    frame = problem.frame(rows)[ended].tail(MOST)
    kept = np.flatnonzero(ended)[-MOST:]
    columns, choices = [], {}
    for name in names:
        column = frame[name] if name in frame else frame.iloc[:, names.index(name) + 1]
        try:
            columns.append(column.to_numpy(dtype=float))
        except (TypeError, ValueError):
            found = list(dict.fromkeys(str(v) for v in column))
            choices[name] = sorted(found)
            columns.append(np.array([choices[name].index(str(v)) for v in column], dtype=float))
    x = np.column_stack(columns) if columns else np.empty((len(kept), 0))
    verdicts = [problem.judge(rows.observation(int(i))) for i in kept]
    return Told(
        problem.name,
        names,
        x,
        choices,
        problem.sign * np.array([v.objective for v in verdicts], dtype=float),
        np.array([v.feasible for v in verdicts], dtype=bool),
        problem.objective_title,
        problem.sign,
    )


def history(told: Told) -> Picture | None:
    """Return every experiment's objective in order, and the best feasible so far."""
    n = np.arange(1, len(told.y) + 1)
    figure = blank("Experiments in order")
    known = np.isfinite(told.y)
    for which, name, marker in (
        (known & ~told.feasible, "infeasible", {"symbol": "x", "color": BAD}),
        (known & told.feasible, "feasible", {"symbol": "circle-open", "color": COLOURS[0]}),
    ):
        if which.any():
            figure.add_scatter(
                x=n[which], y=told.y[which], mode="markers", name=name, marker=marker
            )
    good = np.where(known & told.feasible, told.sign * told.y, np.inf)
    best = np.minimum.accumulate(good) if len(good) else good
    drawn = np.isfinite(best)
    if drawn.any():
        figure.add_scatter(
            x=n[drawn],
            y=told.sign * best[drawn],
            mode="lines",
            name="best feasible",
            line={"shape": "hv", "color": COLOURS[1]},
        )
    if not figure.data:
        say(figure, "nothing was told yet")
    figure.update_xaxes(title_text="experiment")
    figure.update_yaxes(title_text=plotted(told.title))
    return picture("history", figure, height=360)


def parallel(told: Told) -> Picture | None:
    """Return the experiments along parallel axes, coloured by the objective. Drawn as lines, which
    every browser can, and not by WebGL.
    """
    known = np.flatnonzero(np.isfinite(told.y))
    if not len(known) or not told.variables:
        return None
    order = known[np.argsort(-told.sign * told.y[known], kind="stable")]  # the best on top
    table = np.column_stack([told.x, told.y])[order]
    low, high = table.min(axis=0), table.max(axis=0)
    heights = (table - low) / np.where(high > low, high - low, 1.0)
    figure = blank("Experiments along parallel axes")
    shares = np.array_split(np.arange(len(order)), min(len(SHADES), len(order)))
    across = [*range(table.shape[1]), None]
    for shade, share in zip(SHADES[-len(shares) :], shares, strict=True):
        best, worst = (_short(v) for v in (table[share, -1].min(), table[share, -1].max()))
        figure.add_scatter(
            x=across * len(share),
            y=[v for row in heights[share] for v in (*row.tolist(), None)],
            mode="lines",
            line={"color": shade, "width": 1.5},
            name=f"{best} to {worst}",
            hoverinfo="skip",
        )
    titles = [*told.variables, told.title]
    for j, name in enumerate(titles):
        for y, end, anchor in ((0, low[j], "top"), (1, high[j], "bottom")):
            text = told.choices[name][round(end)] if name in told.choices else _short(end)
            figure.add_annotation(
                x=j, y=y, text=plotted(text), showarrow=False, yanchor=anchor, font={"size": 11}
            )
    figure.update_xaxes(
        tickmode="array",
        tickvals=list(range(len(titles))),
        ticktext=[plotted(t) for t in titles],
        range=[-0.3, len(titles) - 0.7],
    )
    figure.update_yaxes(showticklabels=False, showgrid=False, range=[-0.1, 1.1], ticks="")
    note = f"From light blue to violet the {told.title} gets better; at each axis stand its ends."
    return picture("parallel", figure, note)


def _short(value: float) -> str:
    """Return a number in a few characters."""
    return f"{value:.4g}"


def _ticks(told: Told, name: str) -> dict[str, Any]:
    """Return the ticks of an axis of choices."""
    if name not in told.choices:
        return {}
    choices = told.choices[name]
    return {"tickvals": list(range(len(choices))), "ticktext": [plotted(c) for c in choices]}


def slices(told: Told) -> Picture | None:
    """Return the objective against each variable, one after the other."""
    from plotly.subplots import make_subplots

    known = np.isfinite(told.y)
    names = told.variables[:SLICES]
    if not known.any() or not names:
        return None
    across = min(len(names), 3)
    down = math.ceil(len(names) / across)
    figure = make_subplots(rows=down, cols=across, shared_yaxes=True, horizontal_spacing=0.06)
    house = blank("Objective against each variable")
    figure.update_layout(house.layout)
    for j, name in enumerate(names):
        at = {"row": j // across + 1, "col": j % across + 1}
        for which, label, colour in (
            (known & ~told.feasible, "infeasible", BAD),
            (known & told.feasible, "feasible", COLOURS[0]),
        ):
            figure.add_scatter(
                x=told.x[which, j],
                y=told.y[which],
                mode="markers",
                name=label,
                legendgroup=label,
                showlegend=j == 0,
                marker={"color": colour, "size": 5},
                **at,
            )
        figure.update_xaxes(title_text=plotted(name), **_ticks(told, name), **at)
    figure.update_yaxes(title_text=plotted(told.title), col=1)
    left = len(told.variables) - len(names)
    note = f"{left} more variables have no slice." if left else ""
    return picture("slices", figure, note, height=max(320, 240 * down))


def pair(told: Told, x: str, y: str) -> tuple[str, str]:
    """Return the two variables of the contours: those that were chosen, else the first two that are
    numbers.
    """
    numbers = [n for n in told.variables if n not in told.choices]
    chosen = [n for n in (x, y) if n in numbers]
    rest = [n for n in numbers if n not in chosen]
    first, second, *_ = [*dict.fromkeys(chosen), *rest, "", ""]
    return first, second


def contours(told: Told, x: str, y: str) -> Picture | None:
    """Return a model of the objective over two variables, the others held at the best experiment.

    The model is a thin-plate spline through what was measured, with each variable on [0, 1]; it is
    the dashboard's own, whatever the study's method believes. How far it errs on experiments that
    it has not seen, over five parts of them, stands beneath.

    Args:
        told: What was told.
        x: A variable; "" for the first.
        y: Another one.
    """
    from scipy.interpolate import RBFInterpolator

    first, second = pair(told, x, y)
    known = np.isfinite(told.y)
    if not first or not second or not known.any():
        return None
    points, values, feasible = (a[known][-MODELLED:] for a in (told.x, told.y, told.feasible))
    low, high = points.min(axis=0), points.max(axis=0)
    moved = high > low
    unit = (points[:, moved] - low[moved]) / (high - low)[moved]
    unit, rows = np.unique(unit, axis=0, return_index=True)
    points, values, feasible = points[rows], values[rows], feasible[rows]
    i, j = told.variables.index(first), told.variables.index(second)
    if len(unit) < unit.shape[1] + 3 or not (moved[i] and moved[j]):
        return None
    model = RBFInterpolator(unit, values, smoothing=1e-6)
    better = np.where(feasible, told.sign * values, np.inf)
    if not feasible.any():
        better = told.sign * values
    best = points[int(np.argmin(better))]
    a, b = (np.linspace(low[k], high[k], GRID) for k in (i, j))
    grid = np.tile(best, (GRID * GRID, 1))
    grid[:, i], grid[:, j] = (m.ravel() for m in np.meshgrid(a, b))
    surface = model((grid[:, moved] - low[moved]) / (high - low)[moved]).reshape(GRID, GRID)
    figure = blank("Model of the objective over two variables")
    figure.add_contour(
        x=a,
        y=b,
        z=surface,
        colorscale="Viridis",
        reversescale=told.sign > 0,
        contours={"coloring": "heatmap"},
        line={"width": 0.5},
        colorbar={"title": {"text": plotted(told.title)}},
    )
    for which, label, colour in (
        (~feasible, "infeasible", "#ffffff"),
        (feasible, "feasible", "#000"),
    ):
        if which.any():
            figure.add_scatter(
                x=points[which, i],
                y=points[which, j],
                mode="markers",
                name=label,
                showlegend=False,
                marker={"color": colour, "size": 5, "line": {"width": 1, "color": "#888"}},
            )
    figure.update_xaxes(title_text=plotted(first))
    figure.update_yaxes(title_text=plotted(second))
    others = "; the others as in the best experiment" if len(told.variables) > 2 else ""
    note = (
        f"A spline through the last {len(values)} experiments, the dashboard's own{others}. "
        f"{_error(unit, values)}Black: feasible; white: infeasible."
    )
    return picture("model", figure, note)


def _error(unit: Float[np.ndarray, "n d"], values: Float[np.ndarray, " n"]) -> str:
    """Return in a sentence how far the model errs on a fifth of the experiments, learnt from the
    others.
    """
    from scipy.interpolate import RBFInterpolator

    parts = np.arange(len(values)) % 5
    spread = float(np.std(values))
    if len(values) < 5 * (unit.shape[1] + 2) or spread == 0:
        return "There are too few to say how far it errs. "
    missed = np.empty(len(values))
    for part in range(5):
        seen = parts != part
        model = RBFInterpolator(unit[seen], values[seen], smoothing=1e-6)
        missed[~seen] = model(unit[~seen]) - values[~seen]
    share = float(np.sqrt(np.mean(missed**2))) / spread
    return f"On experiments that it has not seen it errs by {share:.0%} of their spread. "
