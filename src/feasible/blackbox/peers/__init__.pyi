from .ax import Ax as Ax
from .baybe import BayBE as BayBE
from .botorch import BoTorchSCBO as BoTorchSCBO, BoTorchTutorial as BoTorchTutorial
from .cbx import CBX as CBX
from .cma import CMAES as CMAES
from .nevergrad import PSO as PSO, NGOpt as NGOpt, TwoPointsDE as TwoPointsDE
from .optuna import OptunaGP as OptunaGP, OptunaNSGA2 as OptunaNSGA2, OptunaTPE as OptunaTPE
from .pymoo import Pymoo as Pymoo
from .scipy import DifferentialEvolution as DifferentialEvolution
from .scipy_local import (
    COBYLA as COBYLA,
    COBYQA as COBYQA,
    LBFGSB as LBFGSB,
    SLSQP as SLSQP,
    NelderMead as NelderMead,
    TrustConstr as TrustConstr,
)
from .search import RandomSearch as RandomSearch, SobolSearch as SobolSearch
