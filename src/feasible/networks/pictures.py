"""Pictures of runs over networks: the graph coloured by error, and error against messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.annotations import checked
from ..core.checks import floats, shown as shown_as
from ..core.errors import ArgumentError, ArgumentTypeError, NotFinite, ShapeError
from ..core.result import Result
from .graph import Network

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Float

FLOOR = 1e-16
"""Errors below this are drawn as this."""


def error_graph(graph: Any, errors: Any, times: Any) -> go.Figure:
    """Draw a graph whose nodes are coloured by the logarithm of their error, with a slider of time.

    Args:
        graph: As `Network.of` reads it.
        errors: (k, n) >= 0, rows of times, columns in the order of `Network.nodes`.
        times: (k,).

    Raises:
        ShapeError: They do not fit.
        NotFinite: A NaN or an infinity.
    """
    import plotly.graph_objects as go

    network, errors, times = Network.of(graph), floats("errors", errors), floats("times", times)
    if times.ndim != 1 or not len(times) or errors.shape != (len(times), network.n):
        raise ShapeError(
            f"errors has shape {errors.shape}, times {times.shape}: expected (k, {network.n}) and "
            "(k,), k >= 1"
        )
    if not (np.isfinite(errors).all() and np.isfinite(times).all()):
        raise NotFinite("errors and times: expected finite numbers")
    at = _places(network)
    shown = np.log10(np.maximum(errors, FLOOR))
    ends = [[at[i], at[j], [np.nan, np.nan]] for i, j in network.edges]
    lines = np.array(ends).reshape(-1, 2)
    edges = go.Scatter(x=lines[:, 0], y=lines[:, 1], mode="lines", line={"color": "#bbbbbb"})
    frames = [go.Frame(data=[_nodes(network, at, row, shown)], traces=[1]) for row in shown]
    for frame, t in zip(frames, times, strict=True):
        frame.name = f"{t:g}"
    steps = [
        {"label": f.name, "method": "animate", "args": [[f.name], {"mode": "immediate"}]}
        for f in frames
    ]
    layout = go.Layout(
        showlegend=False,
        sliders=[{"currentvalue": {"prefix": "time "}, "steps": steps}],
        xaxis={"visible": False},
        yaxis={"visible": False, "scaleanchor": "x"},
        template="simple_white",
    )
    return go.Figure([edges, frames[0].data[0]], layout, frames)


def _places(network: Network) -> Float[np.ndarray, "n 2"]:
    """Lay a graph out in the plane, the same way each time."""
    import networkx as nx

    found = nx.spring_layout(nx.Graph(map(tuple, network.edges.tolist())), seed=0)
    return np.array([found.get(i, (0.0, 0.0)) for i in range(network.n)])


def _nodes(
    network: Network,
    at: Float[np.ndarray, "n 2"],
    row: Float[np.ndarray, " n"],
    shown: Float[np.ndarray, "k n"],
) -> go.Scatter:
    """Draw the nodes at one time; the colours mean the same at all times."""
    import plotly.graph_objects as go

    said = [f"{label}: {10**e:.2e}" for label, e in zip(network.nodes, row, strict=True)]
    marker = {
        "size": 16,
        "color": row,
        "cmin": float(shown.min()),
        "cmax": float(shown.max()),
        "colorscale": "Viridis",
        "colorbar": {"title": "log10 error"},
    }
    return go.Scatter(
        x=at[:, 0], y=at[:, 1], mode="markers", marker=marker, text=said, hoverinfo="text"
    )


@checked
def message_curves(results: Mapping[str, Any], resource: str = "messages") -> go.Figure:
    """Draw the error of runs against what they spent.

    Args:
        results: Label -> Result of a run on a network.
        resource: What the axis counts: messages, bytes, gradients or simulated_time.

    Raises:
        ArgumentError: There is no result, or one spent nothing of the resource.
        ArgumentTypeError: Something else than results by label.
    """
    import plotly.graph_objects as go

    if not isinstance(results, Mapping) or not all(isinstance(r, Result) for r in results.values()):
        raise ArgumentTypeError(f"results={shown_as(results)}: expected a mapping to Results")
    if not results:
        raise ArgumentError("results={}: expected a Result at least")
    figure = go.Figure(layout={"template": "simple_white"})
    title = "objective"
    for label, result in results.items():
        points = [p for p in result.trail if p.spent.get(resource, 0) > 0]
        if not points:
            raise ArgumentError(f"results[{label!r}] spent no {resource}")
        title = result.problem.objective_title
        figure.add_scatter(
            x=[p.spent[resource] for p in points],
            y=[max(p.verdict.objective, FLOOR) for p in points],
            name=label,
            mode="lines",
        )
    figure.update_xaxes(type="log", title=resource.replace("_", " "))
    figure.update_yaxes(type="log", title=title, exponentformat="power")
    return figure
