from .hybrid import Hybrid as Hybrid, HybridState as HybridState
