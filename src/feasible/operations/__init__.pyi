from .cpsat import solve_cpsat as solve_cpsat
from .cuts import CutPolicy as CutPolicy
from .diagnose import Diagnosis as Diagnosis, Stuck as Stuck
from .dispatch_rules import (
    CertaintyEquivalent as CertaintyEquivalent,
    ForesightRule as ForesightRule,
    MeanTrajectory as MeanTrajectory,
    MyopicRule as MyopicRule,
)
from .documents import read_shop as read_shop, write_shop as write_shop
from .hydro import (
    HydroSystem as HydroSystem,
    Line as Line,
    Reservoir as Reservoir,
    Thermal as Thermal,
)
from .hydro_file import read_hydro as read_hydro
from .instances import (
    benchmark as benchmark,
    hydrothermal_ht3 as hydrothermal_ht3,
    known_optimum as known_optimum,
    random_shop as random_shop,
)
from .jobshop import BoundBroken as BoundBroken, JobShop as JobShop
from .jobshop_rl_cp import (
    CPSchedulingEnv as CPSchedulingEnv,
    LearnedDispatcher as LearnedDispatcher,
    TrainingSettings as TrainingSettings,
)
from .lp import NoSolution as NoSolution, SolverFailed as SolverFailed, Unbounded as Unbounded
from .multistage import MultistageLP as MultistageLP
from .networks import NetworkTargets as NetworkTargets
from .policies import (
    Action as Action,
    AffineTargets as AffineTargets,
    FixedTargets as FixedTargets,
    LookAhead as LookAhead,
    Myopic as Myopic,
)
from .rollout import Rollout as Rollout, StageInfeasible as StageInfeasible
from .rules import dispatch as dispatch, multistart as multistart
from .scenarios import (
    autoregressive_paths as autoregressive_paths,
    historical_pool as historical_pool,
    lognormal_pool as lognormal_pool,
)
from .schedule import BestKnown as BestKnown, Schedule as Schedule
from .sddp import SDDP as SDDP, SDDPFit as SDDPFit
from .stage import Head as Head, Stage as Stage, Unmet as Unmet
from .ts_ddr import TSDDR as TSDDR, SolvesFailed as SolvesFailed, TSDDRFit as TSDDRFit
