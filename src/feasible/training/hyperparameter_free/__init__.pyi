from .averaging import PolynomialAverager as PolynomialAverager
from .calibration import (
    Calibration as Calibration,
    algoperf_score as algoperf_score,
    calibrate as calibrate,
    steps_to_target as steps_to_target,
    with_target as with_target,
)
from .cocob import COCOB as COCOB
from .dadapt import DAdaptAdam as DAdaptAdam, DAdaptSGD as DAdaptSGD
from .dog import DoG as DoG, DoGSettings as DoGSettings, DoWG as DoWG, LDoG as LDoG
from .estimate import EstimateWarning as EstimateWarning, effective_lr as effective_lr
from .mechanic import MechanicSettings as MechanicSettings, mechanize as mechanize
from .momo import MoMo as MoMo, MoMoAdam as MoMoAdam
from .nadamw import NAdamW as NAdamW
from .prodigy import Prodigy as Prodigy
