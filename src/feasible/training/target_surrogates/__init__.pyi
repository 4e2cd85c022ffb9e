from . import inner_solvers as inner_solvers
from .native_numpy import target_surrogate_minimize as target_surrogate_minimize
from .problem import TargetProblem as TargetProblem
from .run import SSO as SSO, Parametric as Parametric
from .sso import SurrogateSettings as SurrogateSettings, TargetSurrogate as TargetSurrogate
