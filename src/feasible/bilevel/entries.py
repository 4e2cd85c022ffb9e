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
CLASSICS = (
    "clark-westerberg-1990",
    "bard-1988-1",
    "falk-liu-1995",
    "aiyoshi-shimizu-1984-2",
    "bard-1988-3",
    "bard-1984a",
    "candler-townsley-1982",
    "shimizu-aiyoshi-1981-1",
    "yezza-1996",
    "lucchetti-1987",
    "gumus-floudas-2001-1",
    "morgan-patrone-2006",
    "anandalingham-white-1990",
    "mitsos-barton-3.13",
    "mitsos-barton-3.14",
    "mitsos-barton-3.16",
    "mitsos-barton-3.17",
    "mitsos-barton-3.18",
    "mitsos-barton-3.19",
)
"""Programs of the literature: those of `instances.classic`."""
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
) + tuple(
    Entry(
        name,
        "feasible.bilevel.instances.classic:classic",
        "bilevel",
        None,
        "Bilevel",
        settings={"name": name},
    )
    for name in CLASSICS
)
