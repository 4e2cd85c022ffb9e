"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _entry(name: str, target: str, summary: str, paper: str | None = None) -> Entry:
    """A method for networks."""
    return Entry(
        name,
        f"feasible.networks.dadao.{target}",
        "networks",
        paper,
        "NetworkProblem",
        summary=summary,
        example="linear-regression-barbell",
    )


METHODS = (
    _entry("dadao", "run:DADAO", "asynchronous, primal, accelerated; optimal rates", "dadao"),
    _entry("adom-plus", "baselines:ADOMPlus", "rounds, primal, accelerated; graphs may change"),
    _entry("msda", "baselines:MSDA", "rounds, dual, accelerated, Chebyshev gossip"),
    _entry("continuized", "continuized:Continuized", "asynchronous, dual, accelerated"),
    _entry("gradient-tracking", "baselines:GradientTracking", "rounds, primal (DIGing)"),
    _entry("extra", "baselines:EXTRA", "rounds, primal"),
)
PROBLEMS = tuple(
    Entry(
        f"{kind}-regression-{graph}",
        "feasible.networks.dadao.instances:regression",
        "networks",
        "dadao",
        "NetworkProblem",
        settings={"graph": graph, "kind": kind},
    )
    for kind in ("linear", "logistic")
    for graph in ("complete", "star", "ring", "barbell", "grid")
)
CLAIM = "feasible.networks.dadao.claim:claim"
