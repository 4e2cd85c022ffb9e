"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _method(
    name: str, attribute: str, summary: str, paper: str | None = None, **settings: str | float
) -> Entry:
    """A token's walk."""
    return Entry(
        name,
        f"feasible.networks.sa_srrw.run:{attribute}",
        "networks",
        paper,
        "TokenProblem",
        settings=settings,
        summary=summary,
        example="token-mean-karate",
    )


METHODS = (
    _method(
        "sa-srrw",
        "SelfRepellentToken",
        "a token that avoids the nodes it visited too often, and steps by their gradients",
        "sa-srrw",
    ),
    _method(
        "sa-srrw-simple",
        "SelfRepellentToken",
        "the same upon the simple random walk, its gradients weighted",
        "sa-srrw",
        base="simple",
    ),
    _method(
        "metropolis-walk",
        "SelfRepellentToken",
        "a token on the Metropolis chain, whose law is the target",
        alpha=0.0,
    ),
    _method(
        "simple-walk",
        "SelfRepellentToken",
        "a token on the simple random walk, its gradients weighted",
        alpha=0.0,
        base="simple",
    ),
    _method(
        "non-backtracking-walk",
        "NonBacktrackingToken",
        "a token that does not turn back, its gradients weighted",
    ),
    _method(
        "independent-sampling",
        "IndependentToken",
        "nodes drawn independently: no walk, but what one is measured by",
    ),
    _method(
        "depth-first-tour",
        "DepthFirstToken",
        "a token that tours the graph depth first and uses each node once a tour",
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.networks.sa_srrw.instances:{factory}",
        "networks",
        "sa-srrw",
        "TokenProblem",
    )
    for name, factory in (
        ("token-mean-karate", "token_mean"),
        ("token-mean-changing", "token_mean_changing"),
        ("token-logistic", "token_logistic"),
        ("token-nonconvex", "token_nonconvex"),
    )
)
CLAIM = "feasible.networks.sa_srrw.claim:claim"
