from .cbo import CBO as CBO
from .descent import GradientDescent as GradientDescent, Langevin as Langevin
from .hopping import Hopping as Hopping, hop as hop, smoothed_gradient as smoothed_gradient
from .in_torch import CBOptimizer as CBOptimizer
from .minimize import cbo_minimize as cbo_minimize
from .swarm import Swarm as Swarm
