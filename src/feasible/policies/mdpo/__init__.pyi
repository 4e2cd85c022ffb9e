from .agents import MDPO as MDPO, OffPolicyMDPO as OffPolicyMDPO
from .losses import bregman as bregman, mdpo_loss as mdpo_loss
from .settings import MDPOSettings as MDPOSettings, OffPolicySettings as OffPolicySettings
from .tabular import MirrorDescent as MirrorDescent, tabular_mdpo as tabular_mdpo
