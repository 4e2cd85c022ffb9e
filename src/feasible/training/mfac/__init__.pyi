from .fisher import SlidingFisher as SlidingFisher, StaticFisher as StaticFisher
from .mfac import MFAC as MFAC
from .obs_pruner import (
    Masks as Masks,
    OBSPruner as OBSPruner,
    OBSSettings as OBSSettings,
    gradual as gradual,
)
