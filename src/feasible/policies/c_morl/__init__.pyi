from .agent import CMORL as CMORL
from .metrics import (
    crowding_distance as crowding_distance,
    expected_utility as expected_utility,
    hypervolume as hypervolume,
    pareto_filter as pareto_filter,
    sparsity as sparsity,
)
from .settings import CMORLSettings as CMORLSettings
