from .halpern import residual as residual
from .inclusion import (
    InclusionResult as InclusionResult,
    VRHalpern as VRHalpern,
    solve_inclusion as solve_inclusion,
)
from .instances import (
    gaussian_game as gaussian_game,
    least_squares as least_squares,
    policeman_burglar as policeman_burglar,
)
from .operators import (
    AffineFiniteSum as AffineFiniteSum,
    FiniteSum as FiniteSum,
    MatrixGame as MatrixGame,
)
from .problem import Inclusion as Inclusion
from .projections import (
    ball as ball,
    box as box,
    halfspace as halfspace,
    project_simplex as project_simplex,
    simplices as simplices,
)
from .run import HalpernMethod as HalpernMethod
from .settings import HalpernSettings as HalpernSettings
