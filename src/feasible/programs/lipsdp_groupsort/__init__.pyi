from .activations import (
    Activation as Activation,
    FullSort as FullSort,
    GroupSort as GroupSort,
    Householder as Householder,
    MaxMin as MaxMin,
    Slope as Slope,
)
from .bound import LipschitzBound as LipschitzBound, lipschitz_bound as lipschitz_bound
from .networks import (
    DEQ as DEQ,
    Layer as Layer,
    Network as Network,
    ResidualMLP as ResidualMLP,
    feedforward as feedforward,
)
from .pairs import PairBounds as PairBounds, pair_bounds as pair_bounds
from .settings import LipschitzSettings as LipschitzSettings
from .torch_nets import module as module
from .verify import Check as Check
