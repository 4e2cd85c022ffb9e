from .chain import Chain as Chain
from .covariance import (
    asymptotic_covariance as asymptotic_covariance,
    occupation_covariance as occupation_covariance,
)
from .losses import NodeLosses as NodeLosses
from .problem import TokenProblem as TokenProblem
from .run import SelfRepellentToken as SelfRepellentToken
from .sampler import WalkSampler as WalkSampler
from .settings import WalkSettings as WalkSettings
from .token import TokenResult as TokenResult, token_sgd as token_sgd
from .walk import (
    DepthFirstTour as DepthFirstTour,
    IndependentSampling as IndependentSampling,
    NonBacktrackingWalk as NonBacktrackingWalk,
    SelfRepellentWalk as SelfRepellentWalk,
)
