from .contradiction import (
    budget_warning as budget_warning,
    contradiction as contradiction,
    least_divergence as least_divergence,
)
from .judges import (
    Ended as Ended,
    JSONObject as JSONObject,
    Judge as Judge,
    Keywords as Keywords,
    Length as Length,
    ModelJudge as ModelJudge,
    NumberAnswer as NumberAnswer,
    RegexAnswer as RegexAnswer,
    UnitTests as UnitTests,
    yes_or_no as yes_or_no,
)
from .learning import LearningSettings as LearningSettings
from .losses import (
    Rollouts as Rollouts,
    calibrated as calibrated,
    codpo_loss as codpo_loss,
    crpg_loss as crpg_loss,
    crpg_weights as crpg_weights,
    crraft_loss as crraft_loss,
)
from .mixture import MixtureOfJudges as MixtureOfJudges, Opinions as Opinions
from .rules import (
    CODPO as CODPO,
    CRPG as CRPG,
    CRRAFT as CRRAFT,
    DPO as DPO,
    RAFT as RAFT,
    RLOO as RLOO,
    BanditPPO as BanditPPO,
    Lagrangian as Lagrangian,
    Rule as Rule,
)
from .table import ResponseTable as ResponseTable
from .trainer import CGPOConfig as CGPOConfig, CGPOTask as CGPOTask, CGPOTrainer as CGPOTrainer
