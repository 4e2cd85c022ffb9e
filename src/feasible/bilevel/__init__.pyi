from .baselines import (
    ImplicitCG as ImplicitCG,
    Unrolled as Unrolled,
    UpperGrid as UpperGrid,
    UpperRandom as UpperRandom,
)
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
from .lv_hba import (
    LVHBA as LVHBA,
    LVHBASettings as LVHBASettings,
    lv_hba as lv_hba,
    svm_projection as svm_projection,
)
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
from .penalty_bilevel import (
    PenaltyBilevel as PenaltyBilevel,
    PenaltyMethod as PenaltyMethod,
    PenaltySettings as PenaltySettings,
    exact_hypergradient as exact_hypergradient,
    penalty_hypergradient as penalty_hypergradient,
)
from .point import UpperPoint as UpperPoint
from .problem import Bilevel as Bilevel
from .sets import Box as Box, Polyhedron as Polyhedron, Projected as Projected, Simplex as Simplex
