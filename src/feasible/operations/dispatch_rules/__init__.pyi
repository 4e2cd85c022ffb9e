from .rules import (
    CertaintyEquivalent as CertaintyEquivalent,
    ForesightRule as ForesightRule,
    MeanTrajectory as MeanTrajectory,
    MyopicRule as MyopicRule,
)
