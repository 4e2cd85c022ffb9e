"""The method of each kind of problem of the transport room where none is named, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

DEFAULTS: dict[str, tuple[str, str]] = {
    "EntropicTransport": (
        "sinkhorn-newton",
        "it stays with Sinkhorn's iteration where that is about to be done, and else goes on by "
        "Newton",
    ),
    "SparseTransport": (
        "sparse-ot-repair",
        "its plan is optimal where nothing ties, which its bound shows, and where something does "
        "it looks for "
        "one that meets its marginals",
    ),
    "RateLimitedCoupling": (
        "mec-bottleneck",
        "its encoder uses the whole rate, and both steps take O(n log n)",
    ),
    "CodingGame": (
        "coding-agent",
        "it compresses as little as the rate allows and leaves the policy as it is",
    ),
    "FewShot": (
        "slk-means",
        "it clusters all points together around the labelled ones, and on development episodes it "
        "was the best on digits and "
        "next to k-means-few-shot on sentences, with one label a class and with five",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str] | None:
    """The default method of a kind of problem, and why; there is one for each here."""
    return next((DEFAULTS[kind] for kind in problem.kinds() if kind in DEFAULTS), None)
