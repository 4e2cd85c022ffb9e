from .casadi import Casadi as Casadi
from .frame import Solver as Solver, SolverState as SolverState
from .ipopt import Ipopt as Ipopt
from .scipy import (
    ScipyCOBYQA as ScipyCOBYQA,
    ScipySLSQP as ScipySLSQP,
    ScipyTrustConstr as ScipyTrustConstr,
)
from .uno import Uno as Uno
