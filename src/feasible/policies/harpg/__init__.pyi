from .agent import (
    HARPG as HARPG,
    NHARPG as NHARPG,
    NMPG as NMPG,
    NPGIGT as NPGIGT,
    GradientAgent as GradientAgent,
    History as History,
    VanillaPG as VanillaPG,
)
from .ascent import NetworkSettings as NetworkSettings
from .optimiser import NormalizedIGT as NormalizedIGT
from .settings import GradientSettings as GradientSettings
from .tables import TableGradient as TableGradient
