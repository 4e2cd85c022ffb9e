from .casadi import Casadi as Casadi
from .frame import Solver as Solver, SolverState as SolverState
from .ipopt import Ipopt as Ipopt
from .scipy import (
    ScipyCOBYQA as ScipyCOBYQA,
    ScipySLSQP as ScipySLSQP,
    ScipyTrustConstr as ScipyTrustConstr,
)
from .unconstrained import (
    ScipyLBFGSB as ScipyLBFGSB,
    ScipyNewtonCG as ScipyNewtonCG,
    ScipyTrustExact as ScipyTrustExact,
    ScipyTrustNCG as ScipyTrustNCG,
)
from .uno import Uno as Uno
