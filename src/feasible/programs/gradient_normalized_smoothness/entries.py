"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_HERE = "feasible.programs.gradient_normalized_smoothness"
SLUG = "gradient-normalized-smoothness"


def _method(
    name: str,
    target: str,
    summary: str,
    example: str = "log-sum-exp-200",
    paper: str | None = None,
    **settings: str,
) -> Entry:
    """A method for smooth functions."""
    return Entry(
        name,
        f"{_HERE}.{target}",
        "programs",
        paper,
        "Program",
        settings=settings,
        summary=summary,
        example=example,
    )


def _scipy(name: str, target: str, summary: str) -> Entry:
    """SciPy's solver of programs without constraints."""
    return Entry(
        name,
        f"feasible.programs.peers.unconstrained:{target}",
        "programs",
        None,
        "Program",
        peer=True,
        summary=summary,
        example="breast-cancer",
    )


METHODS = (
    _method(
        "gns",
        "run:GNS",
        "Newton steps with an exact or approximate Hessian, regularised by the gradient's norm",
        "breast-cancer",
        paper=SLUG,
    ),
    _method(
        "gns-gradient",
        "run:GNS",
        "the same with the Hessian 0: normalised gradient steps",
        paper=SLUG,
        hessian="zero",
    ),
    _method(
        "super-universal-newton",
        "baselines:SuperUniversal",
        "regularised Newton steps, lambda a multiple of the gradient's norm (a baseline)",
        "breast-cancer",
    ),
    _method(
        "cubic-newton",
        "baselines:CubicNewton",
        "Newton steps with a cubic regulariser (a baseline)",
        "breast-cancer",
    ),
    _method(
        "gradient-method",
        "baselines:GradientMethod",
        "the gradient method with backtracking (a baseline)",
    ),
    _method(
        "fast-gradient",
        "baselines:FastGradient",
        "the fast gradient method with backtracking (a baseline)",
    ),
    _scipy("scipy-trust-exact", "ScipyTrustExact", "SciPy's trust-exact"),
    _scipy("scipy-trust-ncg", "ScipyTrustNCG", "SciPy's trust-ncg"),
    _scipy("scipy-newton-cg", "ScipyNewtonCG", "SciPy's Newton-CG"),
    _scipy("scipy-l-bfgs-b", "ScipyLBFGSB", "SciPy's L-BFGS-B"),
    Entry(
        "scipy-least-squares",
        f"{_HERE}.peers:ScipyLeastSquares",
        "programs",
        None,
        "SmoothProgram",
        peer=True,
        summary="SciPy's least_squares on the residual",
        example="chebyshev-1000",
    ),
)
PROBLEMS = tuple(
    Entry(name, f"{_HERE}.instances:{factory}", "programs", SLUG, "SmoothProgram")
    for name, factory in (
        ("log-sum-exp-200", "log_sum_exp"),
        ("power-residual-100x200", "power_residual"),
        ("rosenbrock-power", "rosenbrock"),
        ("chebyshev-1000", "chebyshev"),
        ("breast-cancer", "breast_cancer"),
    )
)
CLAIM = f"{_HERE}.claim:claim"
