from . import instances as instances, peers as peers, profiles as profiles
from .autolrs.autolrs import AllDiverged as AllDiverged, AutoLRS as AutoLRS
from .autolrs.forecast import exp_forecast as exp_forecast
from .autolrs.run import AutoLRSRecipe as AutoLRSRecipe
from .autolrs.search import LRSearch as LRSearch
from .autolrs.settings import AutoLRSSettings as AutoLRSSettings
from .baselines import InverseSqrt as InverseSqrt, OneCycle as OneCycle, Plateau as Plateau
from .comparison import Comparison as Comparison, budgeted_compare as budgeted_compare
from .ensemble import train_many as train_many
from .hesso.cric import HESSOCRIC as HESSOCRIC
from .hesso.find import find_zero_invariant_groups as find_zero_invariant_groups
from .hesso.groups import ZIG as ZIG, Groups as Groups
from .hesso.hesso import HESSO as HESSO, HESSOSettings as HESSOSettings
from .hesso.run import GroupPruning as GroupPruning
from .hesso.subnet import (
    compare as compare,
    construct_subnet as construct_subnet,
    load_subnet as load_subnet,
    save_subnet as save_subnet,
)
from .hyperparameter_free.averaging import PolynomialAverager as PolynomialAverager
from .hyperparameter_free.calibration import (
    Calibration as Calibration,
    algoperf_score as algoperf_score,
    calibrate as calibrate,
    steps_to_target as steps_to_target,
    with_target as with_target,
)
from .hyperparameter_free.cocob import COCOB as COCOB
from .hyperparameter_free.dadapt import DAdaptAdam as DAdaptAdam, DAdaptSGD as DAdaptSGD
from .hyperparameter_free.dog import (
    DoG as DoG,
    DoGSettings as DoGSettings,
    DoWG as DoWG,
    LDoG as LDoG,
)
from .hyperparameter_free.estimate import (
    EstimateWarning as EstimateWarning,
    effective_lr as effective_lr,
)
from .hyperparameter_free.mechanic import (
    MechanicSettings as MechanicSettings,
    mechanize as mechanize,
)
from .hyperparameter_free.momo import MoMo as MoMo, MoMoAdam as MoMoAdam
from .hyperparameter_free.nadamw import NAdamW as NAdamW
from .hyperparameter_free.prodigy import Prodigy as Prodigy
from .lion_k import kappas as kappas
from .lion_k.lion_k import LionK as LionK, LionKSettings as LionKSettings
from .lion_k.lyapunov import LyapunovMonitor as LyapunovMonitor
from .lion_k.native_numpy import lion_k_minimize as lion_k_minimize
from .mfac.fisher import StaticFisher as StaticFisher
from .mfac.mfac import MFAC as MFAC
from .mfac.obs_pruner import (
    Masks as Masks,
    OBSPruner as OBSPruner,
    OBSSettings as OBSSettings,
    gradual as gradual,
)
from .mfac.run import WeightPruning as WeightPruning
from .mfac.sliding import SlidingFisher as SlidingFisher
from .problem import TrainingProblem as TrainingProblem
from .recipe import Recipe as Recipe
from .refined_schedule.refined import (
    DegenerateScheduleWarning as DegenerateScheduleWarning,
    GradNormLogger as GradNormLogger,
    LinearDecay as LinearDecay,
    Refined as Refined,
    last_iterate_bound as last_iterate_bound,
    linear_to_last as linear_to_last,
    refine_schedule as refine_schedule,
)
from .refined_schedule.run import RefinedRecipe as RefinedRecipe
from .rex.rex import REX as REX
from .sampling import Sampling as Sampling
from .schedule import HorizonWarning as HorizonWarning, ProfileLR as ProfileLR
from .target_surrogates import inner_solvers as inner_solvers
from .target_surrogates.native_numpy import target_surrogate_minimize as target_surrogate_minimize
from .target_surrogates.problem import TargetProblem as TargetProblem
from .target_surrogates.sso import (
    SurrogateSettings as SurrogateSettings,
    TargetSurrogate as TargetSurrogate,
)
from .trained import Trained as Trained, shrink as shrink
from .uba.phi import choose_phi as choose_phi
from .uba.uba import UBA as UBA, uba_profile as uba_profile
