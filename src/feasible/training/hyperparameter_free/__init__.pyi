from .averaging import PolynomialAverager as PolynomialAverager
from .calibration import (
    Calibration as Calibration,
    algoperf_score as algoperf_score,
    calibrate as calibrate,
    steps_to_target as steps_to_target,
    with_target as with_target,
)
from .dog import DoG as DoG, DoWG as DoWG, LDoG as LDoG
from .mechanic import mechanize as mechanize
from .momo import MoMo as MoMo, MoMoAdam as MoMoAdam
from .nadamw import NAdamW as NAdamW
from .packages import (
    COCOB as COCOB,
    DAdaptAdam as DAdaptAdam,
    DAdaptSGD as DAdaptSGD,
    EstimateWarning as EstimateWarning,
    Prodigy as Prodigy,
    effective_lr as effective_lr,
)
