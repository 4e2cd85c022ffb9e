from .batch import LossOutput as LossOutput
from .losses import DisCOLoss as DisCOLoss, disco_loss as disco_loss
from .peers import DisCOConfig as DisCOConfig, DisCOTrainer as DisCOTrainer
from .rivals import (
    dapo_loss as dapo_loss,
    dr_grpo_loss as dr_grpo_loss,
    group_advantages as group_advantages,
    grpo_loss as grpo_loss,
    leave_one_out as leave_one_out,
    overlong_penalty as overlong_penalty,
    rloo_loss as rloo_loss,
    trpa_loss as trpa_loss,
)
from .run import (
    DAPO as DAPO,
    GRPO as GRPO,
    GRPOER as GRPOER,
    RLOO as RLOO,
    RLVR as RLVR,
    TRPA as TRPA,
    DisCO as DisCO,
    DisCOB as DisCOB,
    DrGRPO as DrGRPO,
)
from .settings import DisCOSettings as DisCOSettings, RLVRSettings as RLVRSettings
from .trainer import RLVRTrainer as RLVRTrainer
