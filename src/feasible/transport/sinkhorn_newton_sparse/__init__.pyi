from . import instances as instances, peers as peers
from .coupling import Coupling as Coupling, Couplings as Couplings
from .point_clouds import (
    sinkhorn_newton_points as sinkhorn_newton_points,
    wasserstein_1 as wasserstein_1,
    wasserstein_2 as wasserstein_2,
)
from .problem import EntropicTransport as EntropicTransport, Potentials as Potentials
from .settings import SinkhornNewtonSettings as SinkhornNewtonSettings
from .sinkhorn_newton import SinkhornNewton as SinkhornNewton, sinkhorn_newton as sinkhorn_newton
