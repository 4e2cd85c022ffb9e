from . import instances as instances, peers as peers, private_gsd as private_gsd
from .asktell import AskTell as AskTell, Proposals as Proposals
from .bo_tutorial import acq as acq
from .bo_tutorial.bo import BO as BO
from .bo_tutorial.gradgp import GradGP as GradGP
from .bo_tutorial.native import BayesOpt as BayesOpt
from .cbo.cbo import CBO as CBO
from .cbo.hopping import Hopping as Hopping, hop as hop, smoothed_gradient as smoothed_gradient
from .cbo.in_torch import CBOptimizer as CBOptimizer
from .cbo.minimize import cbo_minimize as cbo_minimize
from .cbo.swarm import Swarm as Swarm
from .ccbo.ccbo import CompositeBO as CompositeBO
from .ccbo.native import CCBO as CCBO
from .command import Command as Command
from .fronts import ObservedFront as ObservedFront
from .gp_sqp.gp_sqp import GPSQP as GPSQP
from .gp_sqp.interpolant import Interpolants as Interpolants
from .objective import Checks as Checks, Objective as Objective
from .peers.optuna_sampler import OptunaSampler as OptunaSampler
from .pfn_cbo.botorch import PFNModel as PFNModel
from .pfn_cbo.native import ConstrainedBO as ConstrainedBO
from .pfn_cbo.pfn import PFN as PFN
from .problem import BlackBox as BlackBox, Limit as Limit, Limits as Limits, noisy as noisy
from .qlognehvi.qlognehvi import QLogNEHVI as QLogNEHVI
from .rough.relay import Relay as Relay
from .rough.run import RobustBO as RobustBO
from .smooth.hybrid import Hybrid as Hybrid
from .smooth.minimize import minimize as minimize
from .space import (
    Categorical as Categorical,
    Integer as Integer,
    Real as Real,
    Space as Space,
    Variable as Variable,
)
