"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "hybrid-sqp",
        "feasible.blackbox.smooth.hybrid:Hybrid",
        "blackbox",
        None,
        "BlackBox",
        summary="SQP on differences, then a Gaussian-process model, then restarts and CMA-ES",
    ),
)
"""A method of this library, put together from published parts, see `hybrid.py`."""
