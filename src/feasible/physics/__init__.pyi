from .errors import InvalidShape as InvalidShape, NotConverged as NotConverged
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
