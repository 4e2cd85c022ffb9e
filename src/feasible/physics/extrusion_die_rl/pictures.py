"""The die and its flow as pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...core.annotations import checked
from ...core.checks import numbers, real
from ...core.errors import ArgumentTypeError, ShapeError
from ...core.extras import named
from .dies import Die
from .flow import Flow

if TYPE_CHECKING:
    from jaxtyping import UInt8


def paint(die: Die, values: Any, flow: Flow, ax: Any, title: str = "") -> None:
    """Draw the speed of the flow in a design, and its control points, on axes of Matplotlib."""
    points, speed = flow.points, np.hypot(*flow.velocity.T)
    triangles = die.solver.triangles
    look = {"cmap": "viridis", "shading": "gouraud", "vmin": 0.0, "rasterized": True}
    ax.tripcolor(*points.T, triangles, speed, **look)
    net = die.net(values)
    ax.plot(net[..., 0], net[..., 1], "-", color="grey", linewidth=0.5)
    ax.plot(net[..., 0].T, net[..., 1].T, "-", color="grey", linewidth=0.5)
    ax.plot(net[..., 0].ravel(), net[..., 1].ravel(), "o", color="black", markersize=2)
    ax.set(aspect="equal", title=title)
    ax.set_axis_off()


def drawn(die: Die, values: Any) -> UInt8[np.ndarray, "h w 3"]:
    """A design as an image."""
    with named("render", "physics"):
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    figure = Figure(figsize=(3, 4))
    canvas: Any = FigureCanvasAgg(figure)
    paint(die, values, die.flow(values), figure.add_subplot())
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


@checked
def die_frames(die: Die, designs: Sequence[Any], wanted: float, path: str) -> None:
    """Write designs, one beside the other, to an image.

    Args:
        die: The die.
        designs: (k,) values each, in the order of an episode.
        wanted: The target, for the titles.
        path: Where, with an ending that Matplotlib knows.
    """
    if not isinstance(die, Die):
        raise ArgumentTypeError(f"die={die!r:.60}: expected a Die, such as split_die()")
    given = numbers("designs", designs)
    if given.ndim != 2 or given.shape[1] != die.k or not len(given):
        raise ShapeError(f"designs has shape {given.shape}, expected (n, {die.k}), n >= 1")
    wanted = real("wanted", wanted)
    if not isinstance(path, str):
        raise ArgumentTypeError(f"path={path!r:.60}: expected the name of a file")
    with named("die_frames", "physics"):
        from matplotlib.figure import Figure
    figure = Figure(figsize=(2.2 * len(designs), 3.2), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(designs)))
    for i, (values, ax) in enumerate(zip(designs, axes, strict=True)):
        flow = die.flow(values)
        share = float(die.measure(flow)[0])
        paint(die, values, flow, ax, f"{i}: {share:.3f}, wanted {wanted:.3f}")
    figure.savefig(path, dpi=110)
