"""What the blackbox room offers by name, and which method it picks when none is named."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry
from .instances import PROBLEMS as INSTANCES
from .instances_bayes import PROBLEMS as BAYES

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import BlackBox

_HERE = "feasible.blackbox"
SYNTHETIC = (
    "grand-canyon",
    "grand-canyon-smooth",
    "rastrigin-cbo",
    "ackley",
    "rastrigin",
    "rosenbrock",
    "griewank",
    "sphere",
)


def _method(
    name: str,
    target: str,
    paper: str | None = None,
    peer: bool = False,
    summary: str = "",
    example: str = "",
    **settings: object,
) -> Entry:
    return Entry(
        name, f"{_HERE}.{target}", "blackbox", paper, "BlackBox", peer, settings, summary, example
    )


def _problem(name: str) -> Entry:
    paper = "ccbo" if name.startswith("electrospray") else "cbo" if name in SYNTHETIC else "pfn-cbo"
    return Entry(
        name, f"{_HERE}.instances:get", "blackbox", paper, "BlackBox", settings={"name": name}
    )


METHODS: tuple[Entry, ...] = (
    _method(
        "cbo",
        "cbo:CBO",
        "cbo",
        summary="consensus-based optimisation: particles drift to their weighted mean",
    ),
    _method(
        "cbo-memory",
        "cbo:CBO",
        "cbo",
        summary="consensus-based optimisation with a memory of each particle's best point",
        memory=True,
    ),
    _method(
        "cbo-hopping",
        "hopping:Hopping",
        "cbo",
        summary="consensus hopping, the bridge from CBO to gradient descent",
    ),
    _method(
        "gradient-descent",
        "descent:GradientDescent",
        "cbo",
        summary="gradient descent by central differences (a baseline of the paper)",
    ),
    _method(
        "langevin",
        "descent:Langevin",
        "cbo",
        summary="annealed Langevin dynamics (a baseline of the paper)",
    ),
    _method(
        "pfn-cei",
        "pfn_cbo:NetworkSearch",
        "pfn-cbo",
        summary="Bayesian optimisation with a pre-trained network: constrained expected "
        "improvement",
    ),
    _method(
        "pfn-cei-plus",
        "pfn_cbo:NetworkSearch",
        "pfn-cbo",
        summary="pfn-cei that also takes points feasible with probability one half",
        acq="cei+",
    ),
    _method(
        "pfn-penalty",
        "pfn_cbo:NetworkSearch",
        "pfn-cbo",
        summary="expected improvement of a penalised objective under the network",
        acq="penalty",
    ),
    _method(
        "gp-cei",
        "pfn_cbo:ProcessSearch",
        "pfn-cbo",
        summary="constrained expected improvement under Gaussian processes of BoTorch (a baseline)",
    ),
    _method(
        "gp-cei-plus",
        "pfn_cbo:ProcessSearch",
        "pfn-cbo",
        summary="gp-cei that also takes points feasible with probability one half",
        acq="cei+",
    ),
    _method(
        "gp-penalty",
        "pfn_cbo:ProcessSearch",
        "pfn-cbo",
        summary="expected improvement of a penalised objective under a Gaussian process",
        acq="penalty",
    ),
    _method(
        "ccbo",
        "ccbo:CompositeBO",
        "ccbo",
        summary="Bayesian optimisation towards a target value, where some experiments fail",
        example="electrospray",
    ),
    _method(
        "ccbo-constrained",
        "ccbo:CompositeBO",
        "ccbo",
        summary="the same on the distance from the target (a baseline of the paper)",
        strategy="constrained",
        example="electrospray",
    ),
    _method(
        "ccbo-qei",
        "ccbo:CompositeBO",
        "ccbo",
        summary="the same without a model of failures (a baseline of the paper)",
        strategy="qEI",
        example="electrospray",
    ),
    _method(
        "ccbo-random",
        "ccbo:CompositeBO",
        "ccbo",
        summary="uniform points (a baseline of the paper)",
        strategy="random",
        example="electrospray",
    ),
    _method(
        "gp-sqp",
        "gp_sqp:GPSQP",
        summary="sequential programming on Gaussian-process interpolants, in a trust region with "
        "global steps",
    ),
    _method(
        "bo-logei",
        "bayes:BO",
        "bo-tutorial",
        summary="log expected improvement, with limits the constrained EI",
        acq="logei",
    ),
    _method(
        "bo-noisy-ei",
        "bayes:BO",
        "bo-tutorial",
        summary="the tutorial's expected improvement with noise, exact",
        acq="noisy-ei",
    ),
    _method("bo-kg", "bayes:BO", "bo-tutorial", summary="one-shot knowledge gradient", acq="kg"),
    _method(
        "bo-kg-discrete",
        "bayes:BO",
        "bo-tutorial",
        summary="exact knowledge gradient over a covering set",
        acq="kg-discrete",
    ),
    _method(
        "bo-kg-sga",
        "bayes:BO",
        "bo-tutorial",
        summary="knowledge gradient by multistart stochastic gradient ascent",
        acq="kg-sga",
    ),
    _method(
        "bo-es", "bayes:BO", "bo-tutorial", summary="entropy search on a discretisation", acq="es"
    ),
    _method("bo-mes", "bayes:BO", "bo-tutorial", summary="max-value entropy search", acq="mes"),
    _method("bo-pes", "bayes:BO", "bo-tutorial", summary="predictive entropy search", acq="pes"),
    _method(
        "bo-qei",
        "bayes:BO",
        "bo-tutorial",
        summary="parallel expected improvement by quasi-Monte Carlo",
        acq="qei",
    ),
    _method(
        "bo-qnei",
        "bayes:BO",
        "bo-tutorial",
        summary="noisy expected improvement of Letham et al., by BoTorch",
        acq="qnei",
    ),
    _method(
        "bo-cei", "bayes:BO", "bo-tutorial", summary="constrained expected improvement", acq="cei"
    ),
    _method("bo-ucb", "bayes:BO", "bo-tutorial", summary="upper confidence bound", acq="ucb"),
    _method("bo-pi", "bayes:BO", "bo-tutorial", summary="probability of improvement", acq="pi"),
    _method(
        "bo-mfkg",
        "bayes:BO",
        "bo-tutorial",
        summary="multi-fidelity knowledge gradient per cost (fidelity=)",
        acq="mfkg",
        fidelity="s",
        example="augmented-branin",
    ),
    _method(
        "bo-multi-task",
        "bayes:BO",
        "bo-tutorial",
        summary="knowledge gradient for one of several tasks (task=)",
        acq="multi-task",
        task="w",
        example="random-environment",
    ),
    _method(
        "bo-env-kg",
        "bayes:BO",
        "bo-tutorial",
        summary="knowledge gradient for a mean over environments (environment=)",
        acq="env-kg",
        environment="w",
        example="random-environment",
    ),
    _method(
        "bo-d-ei",
        "bayes:BO",
        "bo-tutorial",
        summary="expected improvement with gradients",
        acq="d-ei",
        example="rosenbrock-gradient",
    ),
    _method(
        "bo-d-kg",
        "bayes:BO",
        "bo-tutorial",
        summary="knowledge gradient with gradients",
        acq="d-kg",
        example="rosenbrock-gradient",
    ),
    _method("random-search", "peers:RandomSearch", peer=True, summary="independent uniform points"),
    _method("sobol-search", "peers:SobolSearch", peer=True, summary="a scrambled Sobol sequence"),
    _method("differential-evolution", "peers:DifferentialEvolution", peer=True, summary="SciPy"),
    _method(
        "cobyqa",
        "peers:COBYQA",
        peer=True,
        summary="SciPy: derivative-free trust region with quadratic models",
    ),
    _method(
        "slsqp",
        "peers:SLSQP",
        peer=True,
        summary="SciPy: sequential quadratic programming, finite differences",
    ),
    _method(
        "trust-constr",
        "peers:TrustConstr",
        peer=True,
        summary="SciPy: trust-region interior point, finite differences",
    ),
    _method("cma-es", "peers:CMAES", peer=True, summary="pycma"),
    _method("cbx", "peers:CBX", peer=True, summary="CBXpy"),
    _method("optuna-tpe", "peers:OptunaTPE", peer=True, summary="Optuna"),
    _method("optuna-gp", "peers:OptunaGP", peer=True, summary="Optuna"),
    _method("nevergrad-ngopt", "peers:NGOpt", peer=True, summary="Nevergrad"),
    _method("nevergrad-pso", "peers:PSO", peer=True, summary="Nevergrad"),
    _method("nevergrad-two-points-de", "peers:TwoPointsDE", peer=True, summary="Nevergrad"),
    _method("ax", "peers:Ax", peer=True, summary="Ax, with its own choice of models"),
    _method(
        "botorch-qlognei",
        "peers:BoTorchTutorial",
        peer=True,
        summary="BoTorch's tutorial: log noisy expected improvement",
        acquisition="qlognei",
    ),
    _method(
        "botorch-logcei",
        "peers:BoTorchTutorial",
        peer=True,
        summary="BoTorch: log constrained expected improvement",
        acquisition="logcei",
    ),
    _method(
        "botorch-scbo",
        "peers:BoTorchSCBO",
        peer=True,
        summary="BoTorch's models in a trust region, constrained Thompson sampling",
    ),
    _method(
        "pymoo-ga", "peers:Pymoo", peer=True, summary="pymoo: genetic algorithm", algorithm="ga"
    ),
    _method(
        "pymoo-de",
        "peers:Pymoo",
        peer=True,
        summary="pymoo: differential evolution",
        algorithm="de",
    ),
    _method(
        "pymoo-pso", "peers:Pymoo", peer=True, summary="pymoo: particle swarm", algorithm="pso"
    ),
    _method(
        "pymoo-isres",
        "peers:Pymoo",
        peer=True,
        summary="pymoo: evolution strategy with stochastic ranking",
        algorithm="isres",
    ),
)

PRIVATE_METHODS = tuple(
    Entry(
        name,
        f"{_HERE}.private.{target}",
        "blackbox",
        paper,
        "PrivateTable",
        peer,
        summary=summary,
        example=example,
    )
    for name, target, paper, peer, summary, example in (
        (
            "private-gsd",
            "gsd:GSD",
            "private-gsd",
            False,
            "private synthetic data: noisy answers, and a genetic algorithm that fits a table to "
            "them",
            "",
        ),
        (
            "rap",
            "baselines:RAP",
            "private-gsd",
            False,
            "private synthetic data by relaxed projection, RAP and RAP++ (a baseline of the paper, "
            "own code)",
            "",
        ),
        (
            "pgm",
            "peers:PGM",
            None,
            True,
            "mbi: a graphical model estimated from noisy marginals",
            "acs-like-categorical",
        ),
    )
)
PRIVATE_TABLES = ("acs-like", "acs-like-small", "acs-like-categorical", "acs-like-mixed", "adult")
"""Names of `private.instances.PROBLEMS`, which would import pandas."""
METHODS += PRIVATE_METHODS
PROBLEMS = tuple(_problem(name) for name in INSTANCES) + tuple(
    Entry(
        name,
        f"{_HERE}.private.instances:get",
        "blackbox",
        "private-gsd",
        "PrivateTable",
        settings={"name": name},
    )
    for name in PRIVATE_TABLES
)
PROBLEMS += tuple(
    Entry(
        name,
        f"{_HERE}.instances_bayes:get",
        "blackbox",
        "bo-tutorial",
        "BlackBox",
        settings={"name": name},
    )
    for name in BAYES
)


MANY = 500
"""Evaluations beyond which a proposal of gp-sqp (50 to 150 ms) costs more than it saves."""
FIT, WIDE = 300, 18
"""Rows and inputs that the network of pfn-cei takes in."""


def choose(problem: BlackBox, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method. The rule follows races on development seeds (docs/blackbox.md,
    benchmarks/results/*-development.json).
    """
    if type(problem).__name__ == "PrivateTable":
        return (
            "private-gsd",
            "it fits a table to noisy answers of any kind of query, and its errors on marginals "
            "were those of a graphical model",
        )
    evaluations, space = budget.get("evaluations"), problem.space
    if not space.bounded:
        return (
            "cobyqa",
            "an input has no finite bound, and cobyqa is the method here that needs none",
        )
    if problem.target is not None and problem.target > 0 and (evaluations or math.inf) <= 200:
        return (
            "ccbo",
            f"the objective should be {problem.target:g}, and ccbo models its value instead of the "
            "distance, and where experiments fail",
        )
    if evaluations is not None and evaluations < space.d + 3:
        return (
            "sobol-search",
            f"{evaluations:g} evaluations of {space.d} inputs are too few for a model, so the box "
            "is covered evenly",
        )
    jumps = {
        "some inputs are categories": any(v.choices for v in space.variables),
        "a limit is only a yes or a no": any(q.yes_no for q in problem.limits.limits),
    }
    facts = jumps | {
        "the function is noisy": bool(problem.noise),
        "some inputs are whole numbers": bool(space.integer.any()),
    }
    rough = " and ".join(what for what, so in facts.items() if so)
    if any(jumps.values()) and space.d <= WIDE and evaluations is not None and evaluations <= FIT:
        return (
            "pfn-cei",
            f"{rough}: a statistical model is not misled by jumps, and the network's is there in "
            "milliseconds",
        )
    many = evaluations is None or evaluations > MANY
    if any(jumps.values()) or (many and (rough or batches)):
        return (
            "cbo-memory",
            f"{rough or 'many evaluations in batches'}: a population is not misled by jumps and "
            "noise, and may grow",
        )
    if many:
        return (
            "cobyqa",
            "the inputs are continuous, the values repeat, and with so many evaluations a cheap "
            "local model is enough",
        )
    if rough:
        return (
            "gp-sqp",
            f"{rough}: on six engineering problems (development seeds) no method had a better rank "
            "with noise or an input in steps",
        )
    return "gp-sqp", (
        "the inputs are continuous and the values repeat: on the thirteen engineering problems at "
        "100 evaluations (development seeds) "
        "it had the best rank and was feasible in every trial"
    )


CLAIMS = {
    "bo-tutorial": f"{_HERE}.claims.bo_tutorial:claim",
    "cbo": f"{_HERE}.claims.cbo:claim",
    "ccbo": f"{_HERE}.claims.ccbo:claim",
    "pfn-cbo": f"{_HERE}.claims.pfn_cbo:claim",
    "private-gsd": f"{_HERE}.claims.private_gsd:claim",
}

CATALOGUE = Catalogue("blackbox", METHODS, PROBLEMS, CLAIMS, choose)
