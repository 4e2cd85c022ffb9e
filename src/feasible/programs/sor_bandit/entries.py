"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_BANDIT = "feasible.programs.sor_bandit.run:SolverBandit"


def _ours(name: str, summary: str, example: str, **settings: str | float) -> Entry:
    """A method of this folder."""
    return Entry(
        name,
        _BANDIT,
        "programs",
        "sor-bandit",
        "SystemSequence",
        settings=settings,
        summary=summary,
        example=example,
    )


def _peer(name: str, attribute: str, summary: str) -> Entry:
    """Another library's solver."""
    return Entry(
        name,
        f"feasible.programs.sor_bandit.peers:{attribute}",
        "programs",
        None,
        "SystemSequence",
        peer=True,
        summary=summary,
        example="heat-25",
    )


METHODS = (
    _ours(
        "sor-bandit",
        "conjugate gradients with the SSOR preconditioner, omega learnt by ChebCB from the context",
        "heat-25",
    ),
    _ours(
        "sor-bandit-binned",
        "the same, omega learnt by Tsallis-INF in bins of the context",
        "shifted-laplacian-high",
        tuner="binned-tsallis",
    ),
    _ours(
        "sor-bandit-tsallis",
        "the same, omega learnt by Tsallis-INF without a context",
        "heat-25",
        tuner="tsallis",
    ),
    _ours(
        "ssor-cg",
        "conjugate gradients with the SSOR preconditioner, one omega for all systems",
        "heat-25",
        tuner="fixed",
    ),
    _ours(
        "sor-chebcb",
        "successive over-relaxation, omega learnt by ChebCB from the context",
        "shifted-laplacian-high",
        solver="sor",
    ),
    _ours(
        "sor-fixed",
        "successive over-relaxation, one omega for all systems",
        "shifted-laplacian-high",
        solver="sor",
        tuner="fixed",
    ),
    _peer("scipy-cg", "ScipyCG", "SciPy's conjugate gradients without a preconditioner"),
    _peer("scipy-splu", "ScipyDirect", "SciPy's sparse factorisation of every matrix"),
    _peer("pyamg", "PyAMG", "PyAMG's multigrid as a preconditioner of conjugate gradients"),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.programs.sor_bandit.instances:{factory}",
        "programs",
        "sor-bandit",
        "SystemSequence",
    )
    for name, factory in (
        ("shifted-laplacian-high", "shifted_laplacian"),
        ("shifted-laplacian-low", "shifted_laplacian_low"),
        ("heat-25", "heat_25"),
        ("heat-50", "heat"),
    )
)
CLAIM = "feasible.programs.sor_bandit.claim:claim"
