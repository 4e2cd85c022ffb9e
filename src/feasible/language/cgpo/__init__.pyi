from .contradiction import (
    budget_warning as budget_warning,
    contradiction as contradiction,
    least_divergence as least_divergence,
)
from .losses import (
    Rollouts as Rollouts,
    calibrated as calibrated,
    codpo_loss as codpo_loss,
    crpg_loss as crpg_loss,
    crpg_weights as crpg_weights,
    crraft_loss as crraft_loss,
)
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
