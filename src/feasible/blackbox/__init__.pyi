from . import instances as instances
from . import peers as peers
from .asktell import AskTell as AskTell
from .asktell import Proposals as Proposals
from .bo_tutorial import acq as acq
from .bo_tutorial.bo import BO as BO
from .bo_tutorial.gradgp import GradGP as GradGP
from .bo_tutorial.native import BayesOpt as BayesOpt
from .cbo.cbo import CBO as CBO
from .cbo.cbo import cbo_minimize as cbo_minimize
from .cbo.hopping import Hopping as Hopping
from .cbo.hopping import hop as hop
from .cbo.hopping import smoothed_gradient as smoothed_gradient
from .cbo.in_torch import CBOptimizer as CBOptimizer
from .cbo.swarm import Swarm as Swarm
from .ccbo.ccbo import CCBO as CCBO
from .ccbo.ccbo import CompositeBO as CompositeBO
from .command import Command as Command
from .gp_sqp.gp_sqp import GPSQP as GPSQP
from .gp_sqp.interpolant import Interpolants as Interpolants
from .peers.optuna_sampler import OptunaSampler as OptunaSampler
from .pfn_cbo.botorch import PFNModel as PFNModel
from .pfn_cbo.pfn import PFN as PFN
from .pfn_cbo.search import ConstrainedBO as ConstrainedBO
from .problem import BlackBox as BlackBox
from .problem import noisy as noisy
from .space import (
    Categorical as Categorical,
)
from .space import (
    Integer as Integer,
)
from .space import (
    Real as Real,
)
from .space import (
    Space as Space,
)
from .space import (
    Variable as Variable,
)
