"""What a policy does with the states on the held-out paths, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go

    from .rollout import Rollout

BAND = (0.1, 0.9)
"""Quantiles between which the band lies."""


def state_fans(found: Rollout) -> go.Figure:
    """Return each state by stage: the median over paths, and the band of eight in ten.

    Args:
        found: A policy played on paths.
    """
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    stages, names = found.problem.stages, found.problem.stages[0].state
    figure = make_subplots(len(names), 1, shared_xaxes=True, subplot_titles=list(names))
    at = np.arange(found.states.shape[1])
    for i, name in enumerate(names):
        low, median, high = np.quantile(found.states[:, :, i], (BAND[0], 0.5, BAND[1]), axis=0)
        figure.add_trace(
            go.Scatter(
                x=np.concatenate([at, at[::-1]]),
                y=np.concatenate([high, low[::-1]]),
                fill="toself",
                line={"width": 0},
                fillcolor="rgba(31, 119, 180, 0.25)",
                name="8 of 10 paths",
                showlegend=i == 0,
                hoverinfo="skip",
            ),
            row=i + 1,
            col=1,
        )
        line = {"color": "rgb(31, 119, 180)"}
        figure.add_trace(
            go.Scatter(x=at, y=median, line=line, name="median", showlegend=i == 0),
            row=i + 1,
            col=1,
        )
        figure.update_yaxes(title_text=stages[0].unit(name).strip(), row=i + 1, col=1)
    figure.update_xaxes(title_text="stage", row=len(names), col=1)
    figure.update_layout(
        title=f"mean cost {found.cost.mean():.6g} on {len(found.cost)} held-out paths",
        height=160 + 190 * len(names),
    )
    return figure
