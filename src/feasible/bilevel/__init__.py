"""Optimisation through another optimisation.

An upper level chooses x, a lower level answers with its own optimum y: hyperparameters, weights of
data, prices, rewards, sequences.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
