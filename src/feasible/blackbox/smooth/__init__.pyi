from .hybrid import Hybrid as Hybrid, HybridState as HybridState
from .minimize import minimize as minimize
