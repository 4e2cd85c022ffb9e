from .curvature import LowRank as LowRank, RankOne as RankOne
from .estimator import GNSLogisticRegression as GNSLogisticRegression
from .instances import (
    breast_cancer as breast_cancer,
    chebyshev as chebyshev,
    log_sum_exp as log_sum_exp,
    power_residual as power_residual,
    rosenbrock as rosenbrock,
)
from .linear import Metric as Metric
from .logistic import Logistic as Logistic, Softmax as Softmax
from .losses import (
    Chebyshev as Chebyshev,
    LinearResidual as LinearResidual,
    LogSumExp as LogSumExp,
    Loss as Loss,
    PowerNorm as PowerNorm,
    Rosenbrock as Rosenbrock,
)
from .minimize import gns as gns, gns_minimize as gns_minimize
from .problem import SmoothProgram as SmoothProgram
from .run import GNS as GNS
from .settings import GNSSettings as GNSSettings
