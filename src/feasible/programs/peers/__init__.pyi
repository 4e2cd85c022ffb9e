from .casadi import Casadi as Casadi
from .frame import Solver as Solver, SolverState as SolverState
from .ipopt import Ipopt as Ipopt
from .scipy import COBYQA as COBYQA, SLSQP as SLSQP, TrustConstr as TrustConstr
from .uno import Uno as Uno
