from .bandit import Bandit as Bandit, Choice as Choice
from .sparse_bandits import (
    EliminationResult as EliminationResult,
    EliminationSettings as EliminationSettings,
    ModelViolation as ModelViolation,
    SparseElimination as SparseElimination,
)
