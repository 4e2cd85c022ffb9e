from .fisher import SlidingFisher as SlidingFisher
from .fisher import StaticFisher as StaticFisher
from .mfac import MFAC as MFAC
from .obs_pruner import Masks as Masks
from .obs_pruner import OBSPruner as OBSPruner
from .obs_pruner import gradual as gradual
