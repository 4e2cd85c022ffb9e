from .elimination import (
    EliminationResult as EliminationResult,
    ModelViolation as ModelViolation,
    SparseElimination as SparseElimination,
    TooManyCandidates as TooManyCandidates,
)
from .settings import EliminationSettings as EliminationSettings
