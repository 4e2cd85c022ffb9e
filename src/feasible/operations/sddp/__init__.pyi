from .sddp import SDDP as SDDP, SDDPFit as SDDPFit, SDDPSettings as SDDPSettings
