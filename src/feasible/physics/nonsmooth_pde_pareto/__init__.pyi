from .descent import Descent as Descent, common_descent as common_descent, min_norm as min_norm
from .front import ControlFront as ControlFront, pareto_front as pareto_front
from .instances import distributed as distributed, two_halves as two_halves
from .problem import PDEControl as PDEControl, Tracking as Tracking
from .reduced_basis import ReducedBasis as ReducedBasis
from .run import (
    CommonDescents as CommonDescents,
    Continuation as Continuation,
    RandomFront as RandomFront,
    ReferencePoint as ReferencePoint,
    Subdivision as Subdivision,
    WeightedSum as WeightedSum,
)
from .settings import (
    DescentSettings as DescentSettings,
    FrontSettings as FrontSettings,
    WalkSettings as WalkSettings,
)
