"""Other libraries' solvers as methods, so that races against them are fair.

Each keeps its library's defaults and its library's best documented handling of limits, known
constraints, whole numbers and failures.
Peers other than SciPy come with `pip install 'feasible[peers]'` and are imported when a run begins.
"""

from __future__ import annotations

from .peers_ax import Ax
from .peers_botorch import BoTorchSCBO, BoTorchTutorial
from .peers_cbx import CBX
from .peers_cma import CMAES
from .peers_nevergrad import PSO, NGOpt, TwoPointsDE
from .peers_optuna import OptunaGP, OptunaTPE
from .peers_pymoo import Pymoo
from .peers_scipy import COBYQA, SLSQP, DifferentialEvolution, TrustConstr
from .peers_search import RandomSearch, SobolSearch

__all__ = [
    "CBX",
    "CMAES",
    "COBYQA",
    "PSO",
    "SLSQP",
    "Ax",
    "BoTorchSCBO",
    "BoTorchTutorial",
    "DifferentialEvolution",
    "NGOpt",
    "OptunaGP",
    "OptunaTPE",
    "Pymoo",
    "RandomSearch",
    "SobolSearch",
    "TrustConstr",
    "TwoPointsDE",
]
