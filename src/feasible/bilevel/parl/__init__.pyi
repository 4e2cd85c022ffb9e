from .aparl import APARL as APARL, APARLResult as APARLResult
from .feedback import (
    BradleyTerry as BradleyTerry,
    PreferenceFeedback as PreferenceFeedback,
    UtilityFeedback as UtilityFeedback,
)
from .gym import GymLower as GymLower, GymPARL as GymPARL, GymResult as GymResult
from .hypergradient import design_gradient as design_gradient
from .instances import (
    grid_incentives as grid_incentives,
    grid_world as grid_world,
    incentives as incentives,
    preferences as preferences,
    random_world as random_world,
)
from .levels import as_bilevel as as_bilevel
from .mdp import TabularSoftMDP as TabularSoftMDP
from .problem import (
    LearntReward as LearntReward,
    RewardDesign as RewardDesign,
    RewardFromPreferences as RewardFromPreferences,
)
from .run import APARLMethod as APARLMethod, PreferenceMethod as PreferenceMethod
from .settings import APARLSettings as APARLSettings
