"""What this folder offers by name. Plain data: nothing heavy is imported."""

from typing import Any

from ...core.registry import Entry

SLUG = "nonsmooth-pde-pareto"


def _way(name: str, attribute: str, summary: str, paper: str | None = SLUG, **more: Any) -> Entry:
    """A way to a front."""
    return Entry(
        name,
        f"feasible.physics.nonsmooth_pde_pareto.{attribute}",
        "physics",
        paper,
        "PDEControl",
        summary=summary,
        example="two-halves-coarse",
        **more,
    )


METHODS = (
    _way(
        "pareto-reference-point", "run:ReferencePoint", "evenly spread points along a front of two"
    ),
    _way("pareto-weighted-sum", "run:WeightedSum", "minimisers of weighted sums along a front"),
    _way("pareto-continuation", "run:Continuation", "predictor and corrector along a front of two"),
    _way("common-descent", "run:CommonDescents", "nonsmooth common descent from random starts"),
    _way("pareto-subdivision", "run:Subdivision", "boxes that cover all critical controls"),
    _way("random-front", "run:RandomFront", "random controls, a baseline", None),
    _way("pymoo-nsga2-control", "peers:PymooNSGA2", "pymoo: NSGA-II", None, peer=True),
    _way(
        "scipy-weighted-sums",
        "peers:ScipyWeightedSums",
        "SciPy: L-BFGS-B on weighted sums",
        None,
        peer=True,
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.physics.nonsmooth_pde_pareto.instances:{factory}",
        "physics",
        SLUG,
        "PDEControl",
        settings={"mesh": mesh, "name": name},
    )
    for name, factory, mesh in (
        ("two-halves", "two_halves", 31),
        ("two-halves-coarse", "two_halves", 7),
        ("distributed-control", "distributed", 31),
    )
)
CLAIM = "feasible.physics.nonsmooth_pde_pareto.claim:claim"
