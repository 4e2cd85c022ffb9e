from .gp_sqp import GPSQP as GPSQP
from .interpolant import Interpolants as Interpolants
