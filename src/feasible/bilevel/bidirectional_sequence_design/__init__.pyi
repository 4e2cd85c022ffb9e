from .adaptive import AdaptiveEta as AdaptiveEta
from .designer import BIBDesigner as BIBDesigner, Proposed as Proposed
from .features import KmerFeatures as KmerFeatures, SequenceLM as SequenceLM
from .instances import (
    Ehrlich as Ehrlich,
    ehrlich as ehrlich,
    generated as generated,
    pretrained as pretrained,
    tfbind8 as tfbind8,
)
from .letters import SequenceRules as SequenceRules
from .problem import Designs as Designs, SequenceDesign as SequenceDesign
from .run import BIB as BIB
from .settings import BIBSettings as BIBSettings
