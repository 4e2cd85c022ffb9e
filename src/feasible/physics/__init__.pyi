from .errors import InvalidShape as InvalidShape, NotConverged as NotConverged
from .meshes import read_mesh as read_mesh, unit_square as unit_square, write_vtu as write_vtu
from .nonsmooth_pde_pareto import (
    CommonDescents as CommonDescents,
    Continuation as Continuation,
    ControlFront as ControlFront,
    Descent as Descent,
    DescentSettings as DescentSettings,
    FrontSettings as FrontSettings,
    PDEControl as PDEControl,
    RandomFront as RandomFront,
    ReducedBasis as ReducedBasis,
    ReferencePoint as ReferencePoint,
    Subdivision as Subdivision,
    Tracking as Tracking,
    WalkSettings as WalkSettings,
    WeightedSum as WeightedSum,
    common_descent as common_descent,
    distributed as distributed,
    pareto_front as pareto_front,
    two_halves as two_halves,
)
from .pi_hc_moe import (
    FNO as FNO,
    PDE as PDE,
    Burgers as Burgers,
    Condition as Condition,
    ConstrainedOperator as ConstrainedOperator,
    DiffusionSorption as DiffusionSorption,
    Grid as Grid,
    HardConstraint as HardConstraint,
    Heat as Heat,
    MixtureOfExperts as MixtureOfExperts,
    OperatorLearning as OperatorLearning,
    Vorticity as Vorticity,
)
from .reduced import (
    ReducedFunctional as ReducedFunctional,
    TaylorRates as TaylorRates,
    minimize as minimize,
    taylor_test as taylor_test,
)
