from .equations import (
    Burgers as Burgers,
    Cooling as Cooling,
    DiffusionSorption as DiffusionSorption,
    Heat as Heat,
    Vorticity as Vorticity,
)
from .experts import (
    HardConstraint as HardConstraint,
    MixtureOfExperts as MixtureOfExperts,
    Output as Output,
    border_jumps as border_jumps,
)
from .fno import FNO as FNO
from .operator import (
    ConstrainedOperator as ConstrainedOperator,
    PenalisedOperator as PenalisedOperator,
)
from .pde import PDE as PDE, Condition as Condition, Grid as Grid
from .problem import OperatorLearning as OperatorLearning, Surrogate as Surrogate
from .settings import LayerSettings as LayerSettings
from .solvers import heat_modes as heat_modes
