"""What the room's shared files offer by name. Plain data: nothing heavy is imported."""

from ..core.registry import Entry


def _method(
    name: str, target: str, summary: str, example: str = "analytic-line", peer: bool = False
) -> Entry:
    """A method for bilevel programs."""
    return Entry(
        name,
        f"feasible.bilevel.{target}",
        "bilevel",
        None,
        "Bilevel",
        peer=peer,
        summary=summary,
        example=example,
    )


METHODS = (
    _method(
        "implicit-cg",
        "baselines:ImplicitCG",
        "implicit differentiation, the linear system by conjugate gradients",
    ),
    _method("unrolled", "baselines:Unrolled", "differentiation through the lower level's steps"),
    _method(
        "bilevel-random",
        "baselines:UpperRandom",
        "random points of the upper level, the lower one solved by L-BFGS",
    ),
    _method(
        "bilevel-grid",
        "baselines:UpperGrid",
        "a grid over one number for all entries of the upper level",
    ),
    _method(
        "torchopt-implicit",
        "peers.torchopt:TorchOptImplicit",
        "TorchOpt's implicit differentiation",
        "hyper-cleaning",
        peer=True,
    ),
    _method(
        "cvxpylayers",
        "peers.cvxpylayers:CvxpyLayer",
        "differentiation through a quadratic lower level's conditions by cvxpylayers",
        peer=True,
    ),
)
PROBLEMS = tuple(
    Entry(name, f"feasible.bilevel.instances.{target}", "bilevel", paper, "Bilevel")
    for name, target, paper in (
        ("hyper-cleaning", "cleaning:hyper_cleaning", None),
        ("analytic-line", "toys:analytic_line", None),
        ("rank-deficient", "toys:rank_deficient", None),
        ("llc-toy", "toys:llc_toy", "lv-hba"),
        ("llsc-toy", "toys:llsc_toy", "lv-hba"),
        ("unit-interval", "toys:unit_interval", None),
        ("coupled-cap", "toys:coupled_cap", None),
    )
)
