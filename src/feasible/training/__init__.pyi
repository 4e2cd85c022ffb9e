from . import instances as instances
from . import peers as peers
from . import profiles as profiles
from .autolrs.autolrs import AllDiverged as AllDiverged
from .autolrs.autolrs import AutoLRS as AutoLRS
from .autolrs.forecast import exp_forecast as exp_forecast
from .autolrs.run import AutoLRSRecipe as AutoLRSRecipe
from .autolrs.search import LRSearch as LRSearch
from .baselines import InverseSqrt as InverseSqrt
from .baselines import OneCycle as OneCycle
from .baselines import Plateau as Plateau
from .comparison import Comparison as Comparison
from .comparison import budgeted_compare as budgeted_compare
from .ensemble import train_many as train_many
from .hesso.cric import HESSOCRIC as HESSOCRIC
from .hesso.find import find_zero_invariant_groups as find_zero_invariant_groups
from .hesso.groups import (
    ZIG as ZIG,
)
from .hesso.groups import (
    Groups as Groups,
)
from .hesso.hesso import HESSO as HESSO
from .hesso.run import GroupPruning as GroupPruning
from .hesso.subnet import (
    compare as compare,
)
from .hesso.subnet import (
    construct_subnet as construct_subnet,
)
from .hesso.subnet import (
    load_subnet as load_subnet,
)
from .hesso.subnet import (
    save_subnet as save_subnet,
)
from .hyperparameter_free.averaging import PolynomialAverager as PolynomialAverager
from .hyperparameter_free.calibration import (
    Calibration as Calibration,
)
from .hyperparameter_free.calibration import (
    algoperf_score as algoperf_score,
)
from .hyperparameter_free.calibration import (
    calibrate as calibrate,
)
from .hyperparameter_free.calibration import (
    steps_to_target as steps_to_target,
)
from .hyperparameter_free.calibration import (
    with_target as with_target,
)
from .hyperparameter_free.dog import DoG as DoG
from .hyperparameter_free.dog import DoWG as DoWG
from .hyperparameter_free.dog import LDoG as LDoG
from .hyperparameter_free.mechanic import mechanize as mechanize
from .hyperparameter_free.momo import MoMo as MoMo
from .hyperparameter_free.momo import MoMoAdam as MoMoAdam
from .hyperparameter_free.nadamw import NAdamW as NAdamW
from .hyperparameter_free.packages import (
    COCOB as COCOB,
)
from .hyperparameter_free.packages import (
    DAdaptAdam as DAdaptAdam,
)
from .hyperparameter_free.packages import (
    DAdaptSGD as DAdaptSGD,
)
from .hyperparameter_free.packages import (
    EstimateWarning as EstimateWarning,
)
from .hyperparameter_free.packages import (
    Prodigy as Prodigy,
)
from .hyperparameter_free.packages import (
    effective_lr as effective_lr,
)
from .lion_k import kappas as kappas
from .lion_k.lion_k import LionK as LionK
from .lion_k.lyapunov import LyapunovMonitor as LyapunovMonitor
from .lion_k.native_numpy import lion_k_minimize as lion_k_minimize
from .mfac.fisher import SlidingFisher as SlidingFisher
from .mfac.fisher import StaticFisher as StaticFisher
from .mfac.mfac import MFAC as MFAC
from .mfac.obs_pruner import Masks as Masks
from .mfac.obs_pruner import OBSPruner as OBSPruner
from .mfac.obs_pruner import gradual as gradual
from .mfac.run import WeightPruning as WeightPruning
from .problem import TrainingProblem as TrainingProblem
from .recipe import Recipe as Recipe
from .refined_schedule.refined import (
    DegenerateScheduleWarning as DegenerateScheduleWarning,
)
from .refined_schedule.refined import (
    GradNormLogger as GradNormLogger,
)
from .refined_schedule.refined import (
    LinearDecay as LinearDecay,
)
from .refined_schedule.refined import (
    Refined as Refined,
)
from .refined_schedule.refined import (
    last_iterate_bound as last_iterate_bound,
)
from .refined_schedule.refined import (
    linear_to_last as linear_to_last,
)
from .refined_schedule.refined import (
    refine_schedule as refine_schedule,
)
from .refined_schedule.run import RefinedRecipe as RefinedRecipe
from .rex.rex import REX as REX
from .schedule import HorizonWarning as HorizonWarning
from .schedule import ProfileLR as ProfileLR
from .schedule import Sampling as Sampling
from .target_surrogates import inner_solvers as inner_solvers
from .target_surrogates.native_numpy import target_surrogate_minimize as target_surrogate_minimize
from .target_surrogates.problem import TargetProblem as TargetProblem
from .target_surrogates.sso import TargetSurrogate as TargetSurrogate
from .trained import Trained as Trained
from .trained import shrink as shrink
from .uba.phi import choose_phi as choose_phi
from .uba.uba import UBA as UBA
from .uba.uba import uba_profile as uba_profile
