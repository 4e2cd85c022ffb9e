"""What the peers offer by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _peer(name: str, target: str, summary: str, **settings: object) -> Entry:
    """Return the entry of a solver."""
    return Entry(
        name,
        f"feasible.programs.peers.{target}",
        "programs",
        None,
        "Program",
        peer=True,
        settings=settings,
        summary=summary,
        example="hs71",
    )


METHODS = (
    _peer("scipy-slsqp", "scipy:ScipySLSQP", "SciPy's SLSQP"),
    _peer("scipy-trust-constr", "scipy:ScipyTrustConstr", "SciPy's trust-constr"),
    _peer("scipy-cobyqa", "scipy:ScipyCOBYQA", "SciPy's COBYQA, without derivatives"),
    _peer("ipopt", "ipopt:Ipopt", "Ipopt with MUMPS"),
    _peer("uno", "uno:Uno", "Uno as a filter SQP"),
    _peer("uno-ipopt", "uno:Uno", "Uno as an interior point", preset="ipopt"),
    _peer("casadi-sqpmethod", "casadi:Casadi", "casadi's SQP"),
    _peer("casadi-ipopt", "casadi:Casadi", "Ipopt by way of casadi", plugin="ipopt"),
)
