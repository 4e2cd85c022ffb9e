"""Evaluations by their objectives, where these are several, and the picture of them."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import plotly.graph_objects as go
    from jaxtyping import Bool, Float

MOST = 2000
"""Rows that a cloud keeps as plain data; the front's are kept first."""


@dataclass(frozen=True, slots=True)
class Cloud:
    """Evaluations by their objectives, for people.

    Attributes:
        titles: (m,) heading of each objective, with its unit.
        signs: (m,) -1 where it is maximised, else 1.
        values: (n, m) in the user's sense and units; rows without values are left out.
        feasible: (n,) True where the limits are kept.
        front: (n,) True where no feasible row is better.
    """

    titles: tuple[str, ...]
    signs: tuple[float, ...]
    values: Float[np.ndarray, "n m"]
    feasible: Bool[np.ndarray, " n"]
    front: Bool[np.ndarray, " n"]

    def plain(self) -> dict[str, Any]:
        """As plain data, for a store."""
        order = np.sort(np.argsort(~self.front, kind="stable")[:MOST])
        return {
            "titles": list(self.titles),
            "signs": list(self.signs),
            "values": self.values[order].tolist(),
            "feasible": self.feasible[order].tolist(),
            "front": self.front[order].tolist(),
        }

    @classmethod
    def read(cls, data: Mapping[str, Any] | None) -> Cloud | None:
        """From plain data; None where there is none."""
        if data is None:
            return None
        titles = tuple(data["titles"])
        values = np.array(data["values"], dtype=float).reshape(-1, len(titles))
        feasible, front = (np.array(data[k], dtype=bool) for k in ("feasible", "front"))
        return cls(titles, tuple(data["signs"]), values, feasible, front)


def pareto(
    clouds: Mapping[str, Cloud], title: str, colours: Mapping[str, str] | None = None
) -> go.Figure:
    """Evaluations and fronts, one colour for each label: for two objectives in the plane with the
    front as steps, for three in space, for more along parallel axes (the fronts alone).

    Args:
        clouds: Evaluations by label, such as the method; at least one.
        title: Of the figure.
        colours: Colour by label; None for Plotly's.
    """
    import plotly.graph_objects as go
    from plotly.colors import qualitative

    figure = go.Figure()
    titles = next(iter(clouds.values())).titles
    given = colours or dict(zip(clouds, qualitative.Plotly * len(clouds), strict=False))
    if len(titles) > 3:
        _along_axes(figure, clouds, titles, list(given.values()))
    else:
        for label, cloud in clouds.items():
            _points(figure, cloud, plotted(label), given[label], len(clouds) == 1)
    heads = [plotted(t) for t in titles]
    if len(heads) == 2:
        figure.update_layout(xaxis_title=heads[0], yaxis_title=heads[1])
    elif len(heads) == 3:
        axes = {f"{a}axis": {"title": head} for a, head in zip("xyz", heads, strict=True)}
        figure.update_layout(scene=axes)
    figure.update_layout(title=plotted(title), template="plotly_white")
    return figure


def _points(figure: go.Figure, cloud: Cloud, label: str, colour: str, alone: bool) -> None:
    """Draw the infeasible, the feasible and the front's rows of one cloud of 2 or 3 objectives."""
    draw = figure.add_scatter if len(cloud.titles) == 2 else figure.add_scatter3d
    size = 7 if len(cloud.titles) == 2 else 4
    rest = cloud.feasible & ~cloud.front
    kinds = (
        ("infeasible", ~cloud.feasible, {"symbol": "x", "color": "#b0b0b0", "size": size - 1}),
        ("feasible", rest, {"symbol": "circle-open", "color": colour, "size": size - 1}),
    )
    for kind, which, marker in kinds:
        if which.any():
            name = kind if alone else f"{label}: {kind}"
            draw(**_axes(cloud.values[which]), mode="markers", name=name, marker=marker)
    front = cloud.values[cloud.front]
    front = front[np.lexsort(front.T[::-1])]
    flat = len(cloud.titles) == 2
    shape = "hv" if cloud.signs[0] > 0 else "vh"  # between two points: what both dominate
    draw(
        **_axes(front),
        mode="lines+markers" if flat else "markers",
        name="front" if alone else f"{label}: front",
        marker={"color": colour, "size": size},
        **({"line": {"color": colour, "shape": shape}} if flat else {}),
    )


def _axes(values: Float[np.ndarray, "n m"]) -> dict[str, list[float]]:
    """Return the columns by the axes' names."""
    return {axis: column.tolist() for axis, column in zip("xyz", values.T, strict=False)}


def _along_axes(
    figure: go.Figure, clouds: Mapping[str, Cloud], titles: Sequence[str], colours: list[str]
) -> None:
    """Draw the fronts along parallel axes, one line for each row."""
    fronts = [cloud.values[cloud.front] for cloud in clouds.values()]
    which = np.repeat(np.arange(len(fronts)), [len(f) for f in fronts])
    table = np.concatenate(fronts)
    last = max(len(fronts) - 1, 1)
    used = (colours * 2)[: last + 1]
    figure.add_parcoords(
        line={
            "color": which.tolist(),
            "cmin": 0,
            "cmax": last,
            "colorscale": [[i / last, c] for i, c in enumerate(used)],
        },
        dimensions=[
            {"label": plotted(t), "values": table[:, j].tolist()} for j, t in enumerate(titles)
        ],
    )


def plotted(text: str) -> str:
    """Text that Plotly shows as it stands: no markup, no mathematics."""
    return html.escape(text).replace("$", "&#36;")
