"""Pictures of a race (Plotly): convergence, feasibility, profiles, final values, ranks.

A method has the same colour, dash and marker in every figure of a race. Infeasible answers are
never drawn as if they counted: curves of the best so far begin where the first answer is feasible.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from . import profiles
from .drawing import (
    add_band,
    add_curve,
    blank,
    category_axis,
    held,
    label,
    method_styles,
    say,
    spent_axis,
    thin,
    vertical,
)
from .outcomes import finished, outcome, quantile
from .standings import Standings
from .trials import Race

if TYPE_CHECKING:
    pass
# --------------------------------------------------------------------------------------------------
# curves over what was spent


def convergence(race: Race, problem: str, log_x: bool | None = None) -> go.Figure:
    """Return the median over the seeds of the best feasible answer so far, with the band between
    the quartiles.

    Vertical: the gap to the best known value (logarithmic); the objective in the user's sense where
    that is unknown, beaten or maximised. A seed with nothing feasible yet counts as worse than all
    others, so the median begins when half of the seeds are feasible.

    Args:
        race: The race.
        problem: One of its problems.
        log_x: Whether what was spent is drawn on a logarithmic axis; None: where it spans more than
            a factor of 500.
    """
    contest, axis = race.contest(problem), profiles.resource(race)
    height, title, log_y = vertical(race, contest)
    groups, styles = finished(race), method_styles(race.methods)
    figure = blank(f"Convergence on {label(problem, 60)}: {label(contest.objective)}")
    starts: list[float] = []
    for m in race.methods:
        paths = [profiles.trajectory(t, axis) for t in groups[problem, m].values()]
        grid = thin(np.unique(np.concatenate([x for x, _ in paths]))) if paths else np.empty(0)
        if not len(grid):
            add_curve(figure, grid, grid, f"{label(m)} (none feasible)", styles[m], height)
            continue
        values = np.stack([held(x, y, grid) for x, y in paths])
        low, middle, high = (
            np.array([quantile(column, q) for column in values.T]) for q in (0.25, 0.5, 0.75)
        )
        if np.isfinite(middle).any():
            starts.append(float(grid[np.isfinite(middle)][0]))
        name = label(m) + ("" if np.isfinite(middle).any() else " (most infeasible)")
        add_curve(figure, grid, middle, name, styles[m], height)
        add_band(figure, grid, low, high, m, styles[m], height)
    spent_axis(figure, race, starts, log_x)
    figure.update_yaxes(
        title_text=title,
        type="log" if log_y else "linear",
        **({"exponentformat": "power", "dtick": 1} if log_y else {}),
    )
    if not starts:
        say(figure, "no method is feasible in half of its trials")
    return figure


def feasible_rate(race: Race, problem: str | None = None) -> go.Figure:
    """Return the share of finished trials whose answer is feasible, over what was spent. Failed
    trials count as infeasible.

    Args:
        race: The race.
        problem: One of its problems; None for all.
    """
    axis, groups, styles = profiles.resource(race), finished(race), method_styles(race.methods)
    figure = blank(
        "Feasible answers" + (f" on {label(problem, 60)}" if problem is not None else "")
    )
    chosen = [c.name for c in race.contests if problem is None or c.name == problem]
    end = profiles.limit(race)
    for m in race.methods:
        trials = [t for name in chosen for t in groups[name, m].values()]
        if not trials:
            continue
        firsts = np.sort([profiles.first_feasible(t, axis) for t in trials])
        grid = thin(np.unique(np.concatenate([[0.0], firsts[np.isfinite(firsts)], [end]])))
        shares = np.searchsorted(firsts, grid, side="right") / len(trials)
        add_curve(figure, grid, shares, label(m), styles[m], lambda y: y)
    spent_axis(figure, race, [], False)
    figure.update_yaxes(
        title_text="share of trials that are feasible", range=[-0.03, 1.03], tickformat=".0%"
    )
    return figure


# --------------------------------------------------------------------------------------------------
# profiles


def performance_profile(race: Race, tau: float = profiles.TAU) -> go.Figure:
    """Return the profile of Dolan and Moré: how often each method was at most so many times slower
    than the fastest.

    Args:
        race: The race.
        tau: Solved means a gap of at most this fraction of the reference.
    """
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
    """Return the profile of Moré and Wild: the share of trials solved after so many groups of d + 1
    units.

    Args:
        race: The race.
        tau: Solved means a gap of at most this fraction of the reference.
    """
    frame = profiles.data_profile(race, tau)
    return _profile_figure(
        race,
        frame,
        f"Data profile (target: within {_tau(tau)} of the reference)",
        f"{profiles.resource(race)} / (number of variables + 1)",
        "share of trials solved",
    )


def ecdf(race: Race) -> go.Figure:
    """Return the share of (trial, target) reached, over the fraction of the budget."""
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
    figure, styles = blank(title), method_styles(race.methods)
    for m in frame.columns if len(frame) else []:
        keep = thin(np.arange(len(frame)))
        grid, shares = frame.index.to_numpy(dtype=float)[keep], frame[m].to_numpy(dtype=float)[keep]
        if len(grid) and np.isfinite(grid[-1]):
            grid, shares = (
                np.append(grid, max(grid[-1] * 1.3, grid[-1] + 1e-9)),
                np.append(shares, shares[-1]),
            )
        add_curve(figure, grid, shares, label(m), styles[m], lambda s: s)
    figure.update_xaxes(title_text=label(x, 80))
    figure.update_yaxes(title_text=y, range=[-0.03, 1.03], tickformat=".0%")
    if not figure.data:
        say(figure, "no finished trials to compare")
    return figure


def _tau(tau: float) -> str:
    return f"{100 * tau:g} %"


# --------------------------------------------------------------------------------------------------
# final values and ranks


def final_values(race: Race, problem: str) -> go.Figure:
    """Return the final feasible answers of all seeds by method: a box (from five seeds on) with
    every trial as a point; how many are not there is said.

    Args:
        race: The race.
        problem: One of its problems.
    """
    contest = race.contest(problem)
    height, title, log = vertical(race, contest)
    groups, styles = finished(race), method_styles(race.methods)
    figure = blank(f"Final answers on {label(problem, 60)}: {label(contest.objective)}")
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
    category_axis(figure, ticks)
    figure.update_xaxes(
        title_text=title,
        type="log" if log else "linear",
        **({"exponentformat": "power", "dtick": 1} if log else {}),
    )
    if not figure.data:
        say(figure, "no method has a feasible answer")
    return figure


def ranks(result: Standings, methods: Sequence[str]) -> go.Figure:
    """Return the average rank by method, best on top.

    Args:
        result: The standings.
        methods: The methods as in the race, for the colours.
    """
    frame, styles = result.ranks.dropna(subset=["rank"]), method_styles(methods)
    figure = blank("Average rank (1 is best)")
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
    category_axis(figure, [label(m) for m in frame["method"]])
    figure.update_xaxes(
        title_text="average rank",
        range=[0, max(2.0, 1.12 * float(frame["rank"].max() if len(frame) else 1))],
    )
    return figure
