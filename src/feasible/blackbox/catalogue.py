"""What the blackbox room offers by name, and which method it picks when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry
from .instances import PROBLEMS as INSTANCES

if TYPE_CHECKING:
    from ..core.budget import Budget
    from .problem import BlackBox

_HERE = "feasible.blackbox"
SYNTHETIC = ("grand-canyon", "grand-canyon-smooth", "rastrigin-cbo", "ackley", "rastrigin", "rosenbrock", "griewank", "sphere")


def _method(name: str, target: str, paper: str | None = None, peer: bool = False, summary: str = "", **settings: object) -> Entry:
    return Entry(name, f"{_HERE}.{target}", "blackbox", paper, "BlackBox", peer, settings, summary)


def _problem(name: str) -> Entry:
    paper = "cbo" if name in SYNTHETIC else "pfn-cbo"
    return Entry(name, f"{_HERE}.instances:get", "blackbox", paper, "BlackBox", settings={"name": name})


METHODS = (
    _method("cbo", "cbo:CBO", "cbo", summary="consensus-based optimisation: particles drift to their weighted mean"),
    _method("cbo-memory", "cbo:CBO", "cbo", summary="consensus-based optimisation with a memory of each particle's best point", memory=True),
    _method("cbo-hopping", "hopping:Hopping", "cbo", summary="consensus hopping, the bridge from CBO to gradient descent"),
    _method("gradient-descent", "descent:GradientDescent", "cbo", summary="gradient descent by central differences (a baseline of the paper)"),
    _method("langevin", "descent:Langevin", "cbo", summary="annealed Langevin dynamics (a baseline of the paper)"),
    _method("random-search", "peers:RandomSearch", peer=True, summary="independent uniform points"),
    _method("sobol-search", "peers:SobolSearch", peer=True, summary="a scrambled Sobol sequence"),
    _method("differential-evolution", "peers:DifferentialEvolution", peer=True, summary="SciPy"),
    _method("cobyqa", "peers:COBYQA", peer=True, summary="SciPy: derivative-free trust region with quadratic models"),
    _method("slsqp", "peers:SLSQP", peer=True, summary="SciPy: sequential quadratic programming, finite differences"),
    _method("trust-constr", "peers:TrustConstr", peer=True, summary="SciPy: trust-region interior point, finite differences"),
    _method("cma-es", "peers:CMAES", peer=True, summary="pycma"),
    _method("cbx", "peers:CBX", peer=True, summary="CBXpy"),
    _method("optuna-tpe", "peers:OptunaTPE", peer=True, summary="Optuna"),
    _method("optuna-gp", "peers:OptunaGP", peer=True, summary="Optuna"),
    _method("nevergrad-ngopt", "peers:NGOpt", peer=True, summary="Nevergrad"),
    _method("nevergrad-pso", "peers:PSO", peer=True, summary="Nevergrad"),
    _method("nevergrad-two-points-de", "peers:TwoPointsDE", peer=True, summary="Nevergrad"),
)

PROBLEMS = tuple(_problem(name) for name in INSTANCES)


def choose(problem: BlackBox, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method for a black box. The rule follows the standings in benchmarks/ (see the room's page)."""
    evaluations = budget.get("evaluations")
    whole = bool(problem.space.integer.any())
    if batches and problem.space.bounded:
        return "cbo-memory", ("several experiments are out at once and come back in any order; of this room's own methods that can do so it had "
                              "the best average rank on the fifteen engineering problems at 200 evaluations (development seeds): 5.0 of 9")
    if not problem.space.bounded:
        return "cobyqa", "an input has no finite bound, and cobyqa is the method here that needs none"
    if problem.noise or whole:
        what = "the function is noisy" if problem.noise else "some inputs are whole numbers or categories"
        return "cbo-memory", f"{what}, and cbo-memory keeps a population that such steps do not mislead"
    if evaluations is not None and evaluations < 2 * problem.space.d + 2:
        return "sobol-search", f"{evaluations:g} evaluations of {problem.space.d} inputs are too few for a model, so the box is covered evenly"
    return "cobyqa", ("the inputs are continuous and the values repeat: on the fifteen engineering problems at 200 evaluations (development seeds) "
                      "cobyqa was feasible in every trial, with average rank 3.0 of 9; slsqp had rank 2.3 and was feasible in 87 %")


CATALOGUE = Catalogue("blackbox", METHODS, PROBLEMS, {"cbo": f"{_HERE}.claims.cbo:claim"}, choose)
