from .averaging import PolynomialAverager as PolynomialAverager
from .calibration import (
    Calibration as Calibration,
)
from .calibration import (
    algoperf_score as algoperf_score,
)
from .calibration import (
    calibrate as calibrate,
)
from .calibration import (
    steps_to_target as steps_to_target,
)
from .calibration import (
    with_target as with_target,
)
from .dog import DoG as DoG
from .dog import DoWG as DoWG
from .dog import LDoG as LDoG
from .mechanic import mechanize as mechanize
from .momo import MoMo as MoMo
from .momo import MoMoAdam as MoMoAdam
from .nadamw import NAdamW as NAdamW
from .packages import (
    COCOB as COCOB,
)
from .packages import (
    DAdaptAdam as DAdaptAdam,
)
from .packages import (
    DAdaptSGD as DAdaptSGD,
)
from .packages import (
    EstimateWarning as EstimateWarning,
)
from .packages import (
    Prodigy as Prodigy,
)
from .packages import (
    effective_lr as effective_lr,
)
