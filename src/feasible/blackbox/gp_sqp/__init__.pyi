from .gp_sqp import GPSQP as GPSQP, SQPState as SQPState
from .interpolant import Interpolants as Interpolants
