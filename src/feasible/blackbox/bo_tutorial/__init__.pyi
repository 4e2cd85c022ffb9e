from . import acq as acq
from .bo import BO as BO
from .gradgp import GradGP as GradGP
from .native import BayesOpt as BayesOpt
