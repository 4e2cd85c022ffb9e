from .hyper import PenaltyBilevel as PenaltyBilevel
from .hypergradient import (
    PenaltyGradient as PenaltyGradient,
    exact_hypergradient as exact_hypergradient,
    penalty_hypergradient as penalty_hypergradient,
)
from .run import PenaltyMethod as PenaltyMethod
from .settings import PenaltySettings as PenaltySettings
