from .bidirectional_sequence_design import (
    AdaptiveEta as AdaptiveEta,
    BIBDesigner as BIBDesigner,
    Designs as Designs,
    KmerFeatures as KmerFeatures,
    Proposed as Proposed,
    SequenceDesign as SequenceDesign,
    SequenceLM as SequenceLM,
    SequenceRules as SequenceRules,
)
from .levels import Equal as Equal
from .parl import (
    APARL as APARL,
    APARLResult as APARLResult,
    BradleyTerry as BradleyTerry,
    LearntReward as LearntReward,
    PreferenceFeedback as PreferenceFeedback,
    RewardDesign as RewardDesign,
    RewardFromPreferences as RewardFromPreferences,
    TabularSoftMDP as TabularSoftMDP,
    UtilityFeedback as UtilityFeedback,
    design_gradient as design_gradient,
)
from .point import UpperPoint as UpperPoint
from .problem import Bilevel as Bilevel
from .sets import Box as Box, Polyhedron as Polyhedron, Projected as Projected, Simplex as Simplex
