from .ax import Ax as Ax
from .botorch import BoTorchSCBO as BoTorchSCBO
from .botorch import BoTorchTutorial as BoTorchTutorial
from .cbx import CBX as CBX
from .cma import CMAES as CMAES
from .nevergrad import PSO as PSO
from .nevergrad import NGOpt as NGOpt
from .nevergrad import TwoPointsDE as TwoPointsDE
from .optuna import OptunaGP as OptunaGP
from .optuna import OptunaTPE as OptunaTPE
from .pymoo import Pymoo as Pymoo
from .scipy import (
    COBYQA as COBYQA,
)
from .scipy import (
    SLSQP as SLSQP,
)
from .scipy import (
    DifferentialEvolution as DifferentialEvolution,
)
from .scipy import (
    TrustConstr as TrustConstr,
)
from .search import RandomSearch as RandomSearch
from .search import SobolSearch as SobolSearch
