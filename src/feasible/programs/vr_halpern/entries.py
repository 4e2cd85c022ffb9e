"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HALPERN = "feasible.programs.vr_halpern.run:HalpernMethod"


def _entry(
    name: str,
    target: str,
    summary: str,
    example: str = "policeman-burglar",
    paper: str | None = None,
    peer: bool = False,
    **settings: str,
) -> Entry:
    """A method for inclusions."""
    return Entry(
        name,
        target if "." in target else f"feasible.programs.vr_halpern.baselines:{target}",
        "programs",
        paper,
        "Inclusion",
        peer=peer,
        settings=settings,
        summary=summary,
        example=example,
    )


METHODS = (
    _entry(
        "vr-halpern",
        _HALPERN,
        "variance-reduced Halpern iteration: Algorithm 1 for cocoercive operators, else 2 and 3",
        paper="vr-halpern",
    ),
    _entry(
        "vr-halpern-page",
        _HALPERN,
        "Algorithm 1: Halpern iteration on a recursive estimate of the operator",
        "least-squares-inclusion",
        "vr-halpern",
        method="page",
    ),
    _entry(
        "halpern",
        _HALPERN,
        "Halpern iteration with full evaluations",
        "least-squares-inclusion",
        "vr-halpern",
        method="halpern",
    ),
    _entry("extragradient", "Extragradient", "the extragradient method"),
    _entry("eag", "AnchoredExtragradient", "the extragradient method with an anchor"),
    _entry(
        "vr-extragradient", "ReducedExtragradient", "the extragradient method, variance-reduced"
    ),
    _entry(
        "gradient-descent-inclusion",
        "ForwardBackward",
        "gradient descent with a resolvent",
        "least-squares-inclusion",
    ),
    _entry(
        "nesterov-inclusion",
        "Nesterov",
        "Nesterov's accelerated gradient method",
        "least-squares-inclusion",
    ),
    _entry(
        "scipy-linprog",
        "feasible.programs.vr_halpern.peers:GameProgram",
        "SciPy's linear programming: the exact equilibrium of a matrix game",
        peer=True,
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.programs.vr_halpern.instances:{factory}",
        "programs",
        "vr-halpern",
        "Inclusion",
    )
    for name, factory in (
        ("policeman-burglar", "policeman_burglar"),
        ("gaussian-game", "gaussian_game"),
        ("least-squares-inclusion", "least_squares"),
    )
)
CLAIM = "feasible.programs.vr_halpern.claim:claim"
