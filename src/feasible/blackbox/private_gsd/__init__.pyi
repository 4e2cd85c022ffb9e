from .accounting import cdp_delta as cdp_delta, cdp_epsilon as cdp_epsilon, cdp_rho as cdp_rho
from .domain import Domain as Domain
from .gsd import GSD as GSD, PrivateGSD as PrivateGSD
from .instances import get as get
from .problem import PrivateTable as PrivateTable, Synthetic as Synthetic
from .queries import (
    Halfspaces as Halfspaces,
    Marginals as Marginals,
    Prefixes as Prefixes,
    Ranges as Ranges,
    Workload as Workload,
)
from .rap import RAP as RAP
