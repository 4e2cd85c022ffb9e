"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry


def _ours(name: str, target: str, summary: str, paper: bool = True, **settings: object) -> Entry:
    """A method of this folder."""
    return Entry(
        name,
        f"feasible.programs.adasketch_newton.{target}",
        "programs",
        "adasketch-newton" if paper else None,
        "Program",
        settings=settings,
        summary=summary,
        example="hs6",
    )


METHODS = (
    _ours(
        "adasketch-newton",
        "run:AdaSketchNewton",
        "Newton steps for equalities, solved exactly, with an exact augmented Lagrangian",
    ),
    _ours(
        "adasketch-newton-rk",
        "run:AdaSketchNewton",
        "the same, systems solved by randomised Kaczmarz steps",
        sketch="rk",
    ),
    _ours(
        "adasketch-newton-gv",
        "run:AdaSketchNewton",
        "the same, systems solved by Gaussian sketches",
        sketch="gv",
    ),
    _ours(
        "gmres-sqp",
        "baselines:GmresSQP",
        "SQP with an l1 penalty for equalities, systems solved by GMRES",
        paper=False,
    ),
    _ours(
        "augmented-lagrangian",
        "baselines:AugmentedLagrangian",
        "the augmented Lagrangian for equalities, minimised by shifted Newton steps",
        paper=False,
    ),
)


def _program(name: str, factory: str, **settings: object) -> Entry:
    """A problem of this folder."""
    return Entry(
        name,
        f"feasible.programs.adasketch_newton.instances:{factory}",
        "programs",
        "adasketch-newton",
        "Program",
        settings=settings,
    )


PROBLEMS = (
    _program("logistic-sphere", "logistic_sphere"),
    *(_program(f"pde-control-{size}", "pde_control", size=size) for size in (3, 7, 15)),
)
CLAIM = "feasible.programs.adasketch_newton.claim:claim"
