from .fisher import StaticFisher as StaticFisher
from .mfac import MFAC as MFAC
from .obs_pruner import (
    Masks as Masks,
    OBSPruner as OBSPruner,
    OBSSettings as OBSSettings,
    gradual as gradual,
)
from .sliding import SlidingFisher as SlidingFisher
