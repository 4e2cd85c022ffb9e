"""Subdivision: boxes that cover the set of critical controls, halved again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ...core.front import nondominated
from .descent import direction, step_length
from .oracle import Oracle, tried
from .settings import DescentSettings
from .walk import FrontState, Scaled

if TYPE_CHECKING:
    from jaxtyping import Bool, Float

    Boxes = Float[np.ndarray, "b d 2"]
    Control = Float[np.ndarray, " d"]

DESCENTS = 3
"""Descent steps of a sample."""


def halved(boxes: Boxes, j: int) -> Boxes:
    """(2 b, d, 2) each box cut in two along coordinate j."""
    middle = boxes[:, j].mean(axis=1)
    low, high = boxes.copy(), boxes.copy()
    low[:, j, 1] = middle
    high[:, j, 0] = middle
    return np.concatenate([low, high])


def holding(boxes: Boxes, u: Control) -> Bool[np.ndarray, " b"]:
    """(b,) True for the boxes that a point is in, their borders included."""
    return np.all((boxes[:, :, 0] <= u) & (u <= boxes[:, :, 1]), axis=1)


def subdivide(oracle: Oracle, state: FrontState, samples: int, descent: DescentSettings) -> None:
    """One level: halve all boxes, take a few steps of common descent from samples in each, and keep
    the boxes that an image is in. The images that nothing dominates are the front so far.
    """
    boxes = halved(state.boxes, state.count % oracle.d)
    hit = np.zeros(len(boxes), dtype=bool)
    images, values = [], []
    scaled = Scaled(oracle, state.ideal, state.span)
    for box in boxes:
        share = state.rng.random((samples, oracle.d))
        for u in box[:, 0] + share * (box[:, 1] - box[:, 0]):
            at = descended(scaled, u, descent)
            if at is not None:
                hit |= holding(boxes, at)
                images.append(at)
                values.append(oracle.values(at))
    state.count += 1
    if not hit.any():
        state.ended = "no image of a sample is in the box"
        return
    state.boxes = boxes[hit]
    kept = nondominated(np.array(values))
    state.points, state.values = np.array(images)[kept], np.array(values)[kept]


def descended(oracle: Oracle, u: Control, settings: DescentSettings) -> Control | None:
    """The image of a sample under a few steps of common descent; None where it has no state."""
    F = tried(oracle, u)
    if F is None:
        return None
    for _ in range(DESCENTS):
        found = direction(oracle, u, F, settings.eps[-1], settings)
        if found.critical:
            break
        moved = step_length(oracle, u, F, found, settings.eps[-1], settings.c)
        if moved is None:
            break
        u, F = moved
    return u
