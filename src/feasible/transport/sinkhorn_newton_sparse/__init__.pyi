from . import instances as instances, peers as peers
from .barycenter import (
    Barycenter as Barycenter,
    sinkhorn_newton_barycenter as sinkhorn_newton_barycenter,
)
from .coupling import Coupling as Coupling, Couplings as Couplings
from .point_clouds import (
    sinkhorn_newton_points as sinkhorn_newton_points,
    wasserstein_1 as wasserstein_1,
    wasserstein_2 as wasserstein_2,
)
from .problem import EntropicTransport as EntropicTransport, Potentials as Potentials
from .settings import SinkhornNewtonSettings as SinkhornNewtonSettings
from .sinkhorn_newton import SinkhornNewton as SinkhornNewton, sinkhorn_newton as sinkhorn_newton
from .unbalanced import (
    UnbalancedCoupling as UnbalancedCoupling,
    sinkhorn_newton_unbalanced as sinkhorn_newton_unbalanced,
)
