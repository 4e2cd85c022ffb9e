from .answers import (
    NetworkPolicy as NetworkPolicy,
    PolicyFront as PolicyFront,
    TablePolicy as TablePolicy,
    read_policy as read_policy,
)
from .bandit import Bandit as Bandit, Choice as Choice
from .c_morl import CMORL as CMORL, CMORLSettings as CMORLSettings
from .control import Control as Control
from .copies import Copies as Copies, Moves as Moves
from .decisions import Decisions as Decisions, Learner as Learner
from .errors import (
    EnvironmentFailed as EnvironmentFailed,
    NotANumber as NotANumber,
    ReplayWarning as ReplayWarning,
)
from .harpg import (
    HARPG as HARPG,
    NHARPG as NHARPG,
    NMPG as NMPG,
    NPGIGT as NPGIGT,
    GradientAgent as GradientAgent,
    GradientSettings as GradientSettings,
    History as History,
    NetworkSettings as NetworkSettings,
    NormalizedIGT as NormalizedIGT,
    TableGradient as TableGradient,
    VanillaPG as VanillaPG,
)
from .lagrangian_ppo import LagrangianPPO as LagrangianPPO, LagrangianSettings as LagrangianSettings
from .mdpo import (
    MDPO as MDPO,
    MDPOSettings as MDPOSettings,
    MirrorDescent as MirrorDescent,
    OffPolicyMDPO as OffPolicyMDPO,
    OffPolicySettings as OffPolicySettings,
    bregman as bregman,
    mdpo_loss as mdpo_loss,
    tabular_mdpo as tabular_mdpo,
)
from .pictures import film as film
from .preferences import (
    LogisticOracle as LogisticOracle,
    PreferenceMDP as PreferenceMDP,
    Preferred as Preferred,
)
from .randomized_pbrl import (
    PRLSVI as PRLSVI,
    Asked as Asked,
    PairLog as PairLog,
    PbTS as PbTS,
    PbTSSettings as PbTSSettings,
    PRLSVISettings as PRLSVISettings,
)
from .spaces import Spaces as Spaces
from .sparse_bandits import (
    EliminationResult as EliminationResult,
    EliminationSettings as EliminationSettings,
    ModelViolation as ModelViolation,
    SparseElimination as SparseElimination,
)
from .tabular import TabularMDP as TabularMDP
