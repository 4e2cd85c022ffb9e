from .problem import Solutions as Solutions, SystemSequence as SystemSequence
from .run import SolverBandit as SolverBandit
from .sequence import SolverSequence as SolverSequence
from .settings import BanditSettings as BanditSettings
from .solvers import (
    Relaxed as Relaxed,
    cg as cg,
    sor as sor,
    sor_sweep as sor_sweep,
    ssor as ssor,
    ssor_cg as ssor_cg,
)
from .tuners import (
    BinnedTsallisINF as BinnedTsallisINF,
    ChebCB as ChebCB,
    Fixed as Fixed,
    TsallisINF as TsallisINF,
    Tuner as Tuner,
    omegas as omegas,
)
