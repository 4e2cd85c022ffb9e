"""A learned graph as a figure, its edges coloured by what the true one has."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import plotly.graph_objects as go

from .graphs import compare, matrix, topological_order

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

COLOURS = {
    "right": "#1b7837",
    "edge": "#555555",
    "reversed": "#e08214",
    "extra": "#b2182b",
    "missing": "#bbbbbb",
}


def _places(edges: Bool[np.ndarray, "d d"]) -> Float[np.ndarray, "d 2"]:
    """Layers by the longest walk from a source; in a layer, by the mean place of the parents."""
    d = len(edges)
    depth = np.zeros(d, dtype=int)
    for j in topological_order(edges.astype(float)):
        parents = np.flatnonzero(edges[:, j])
        depth[j] = depth[parents].max(initial=-1) + 1
    place = np.zeros((d, 2))
    for layer in range(depth.max() + 1):
        members = np.flatnonzero(depth == layer)
        parents_at = [
            place[np.flatnonzero(edges[:, j]), 0].mean() if edges[:, j].any() else 0.0
            for j in members
        ]
        members = members[np.argsort(parents_at, kind="stable")]
        place[members, 0] = (np.arange(len(members)) + 0.5) / len(members)
        place[members, 1] = -layer
    return place


def graph_figure(weights: Any, truth: Any = None, names: Sequence[Any] | None = None) -> go.Figure:
    """Draw a graph.

    Args:
        weights: (d, d), acyclic.
        truth: (d, d) of the true graph, whose layout is then taken; edges are coloured by whether
            it has them. None: none is known.
        names: (d,) of the variables; None: their numbers.

    Raises:
        ArgumentError: A cycle.
        ShapeError: Not square.
    """
    found = matrix(weights) != 0
    true = None if truth is None else matrix(truth, "truth") != 0
    place = _places(found if true is None else true)
    labels = [str(n) for n in (range(len(found)) if names is None else names)]
    kinds: dict[str, Any] = {"edge": found}
    title = f"{int(found.sum())} edges"
    if true is not None:
        turned = found & true.T & ~true
        kinds = {
            "missing": true & ~found & ~found.T,
            "right": found & true,
            "reversed": turned,
            "extra": found & ~true & ~true.T,
        }
        title += f", {compare(found.astype(float), true.astype(float)).shd} from the true graph's"
    figure = go.Figure()
    for kind, edges in kinds.items():
        pairs = np.argwhere(edges)
        dash = "dot" if kind == "missing" else "solid"
        figure.add_scatter(
            x=[None],
            y=[None],
            mode="lines",
            line={"color": COLOURS[kind], "dash": dash},
            name=f"{kind} ({len(pairs)})",
        )
        for i, j in pairs:
            figure.add_annotation(
                x=place[j, 0],
                y=place[j, 1],
                ax=place[i, 0],
                ay=place[i, 1],
                xref="x",
                yref="y",
                axref="x",
                ayref="y",
                showarrow=True,
                arrowhead=2,
                arrowwidth=1.2,
                arrowcolor=COLOURS[kind],
                standoff=12,
                startstandoff=12,
                opacity=0.6 if kind == "missing" else 1.0,
            )
    figure.add_scatter(
        x=place[:, 0],
        y=place[:, 1],
        mode="markers+text",
        text=labels,
        marker={"size": 22, "color": "#f7f7f7", "line": {"color": "#333333", "width": 1}},
        showlegend=False,
        hoverinfo="text",
    )
    figure.update_layout(
        title=title,
        template="plotly_white",
        xaxis={"visible": False},
        yaxis={"visible": False},
        legend={"orientation": "h", "y": -0.05},
        margin={"l": 10, "r": 10, "t": 50, "b": 10},
    )
    return figure
