"""Inclusions: the inner step of a matrix game, Condat's projection, and the time of so many passes
against extragradient's and the linear program's, one thread each.

Residuals at equal passes are in the claim; here is time only, on the processor's clock.
"""

from __future__ import annotations

import os

import numpy as np

from .common import Figure, processor_seconds, write

ROUNDS = int(os.environ.get("HALPERN_ROUNDS", "7"))


def projections() -> list[Figure]:
    """One projection on a simplex of 200 and of 1000 vertices, near a sparse point."""
    import numba

    from feasible.programs.vr_halpern.compiled import condat, threshold

    @numba.njit
    def cold(points, kept, aside):  # type: ignore[no-untyped-def]
        total = 0.0
        for point in points:
            total += condat(point, 1.0, kept, aside)
        return total

    @numba.njit
    def warm(points):  # type: ignore[no-untyped-def]
        theta = 0.0
        for point in points:
            theta = threshold(point, theta)
        return theta

    found = []
    for m, bar in ((200, 2.0), (1000, None)):
        rng = np.random.default_rng(100)
        base = np.maximum(rng.standard_normal(m), 0)
        points = base / base.sum() + 0.003 * rng.standard_normal((2000, m))
        room = np.empty(m), np.empty(m)
        took = processor_seconds(lambda p=points, r=room: cold(p, *r), ROUNDS)  # type: ignore[misc]
        found.append(Figure(f"Condat's projection, m = {m}", 1e6 * took / 2000, bar, "us"))
        took = processor_seconds(lambda p=points: warm(p), ROUNDS)  # type: ignore[misc]
        found.append(
            Figure(f"the threshold from the last one, m = {m}", 1e6 * took / 2000, None, "us")
        )
    return found


def passes() -> list[Figure]:
    """So many passes of Algorithm 2 over those of extragradient, and over the linear program."""
    from feasible.programs.vr_halpern.claim import timed

    timed(8, 4, (100,))
    found = []
    for size, count in ((200, 100), (1000, 40)):
        parts, more = timed(size, count, range(100, 103))
        seconds = more["seconds"]["ours"]
        note = f"{np.median(seconds):.3f} s"
        for part, bar in zip(parts, (10.0, None), strict=True):
            found.append(Figure(part.statement, float(part.figure or 0.0), bar, note=note))
        steps = count * size / 3  # an inner step costs three components on average
        found.append(
            Figure(
                f"an inner step, N = {size}, projections included",
                1e6 * float(np.median(seconds)) / steps,
                4.0 if size == 200 else None,
                "us",
            )
        )
    return found


def run() -> list[Figure]:
    """Both parts."""
    figures = projections() + passes()
    write("vr_halpern", figures)
    return figures
