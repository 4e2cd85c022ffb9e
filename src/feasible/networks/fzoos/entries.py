"""What this folder offers by name. Plain data: nothing heavy is imported."""

from typing import Any

from ...core.registry import Entry

_SURROGATE, _DIFFERENCES = "FZooS", "FederatedDifferences"
PAPER: dict[str, Any] = {
    "features": 10_000,
    "local_queries": 5,
    "local_candidates": 100,
    "server_queries": 50,
    "server_candidates": 200,
    "again": True,
}
"""The paper's own settings, where they are not the defaults."""


def _method(
    name: str,
    attribute: str,
    summary: str,
    paper: str | None = None,
    **settings: Any,
) -> Entry:
    """A federated method."""
    return Entry(
        name,
        f"feasible.networks.fzoos.run:{attribute}",
        "networks",
        paper,
        "FederatedProblem",
        settings=settings,
        summary=summary,
        example="federated-quadratic",
    )


METHODS = (
    _method(
        "fzoos",
        _SURROGATE,
        "federated descent by surrogate gradients, few queries spent on exploration",
        "fzoos",
    ),
    _method("fzoos-paper", _SURROGATE, "the same with the queries of its paper", "fzoos", **PAPER),
    _method("fedzo", _DIFFERENCES, "federated descent by finite differences"),
    _method("fedprox", _DIFFERENCES, "the same with a proximal term", correction="proximal"),
    _method(
        "scaffold-1",
        _DIFFERENCES,
        "the same, corrected by finite differences at the server's point",
        correction="difference",
    ),
    _method(
        "scaffold-2",
        _DIFFERENCES,
        "the same, corrected by the averages of the last round's gradients",
        correction="average",
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.networks.fzoos.instances:{factory}",
        "networks",
        "fzoos",
        "FederatedProblem",
    )
    for name, factory in (
        ("federated-quadratic", "federated_quadratic"),
        ("federated-quadratic-like", "federated_quadratic_like"),
        ("federated-attack", "federated_attack"),
        ("federated-metric", "federated_metric"),
    )
)
CLAIM = "feasible.networks.fzoos.claim:claim"
