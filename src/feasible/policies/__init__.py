"""Decisions: bandits, Markov decision processes, and people who compare.

Which arm to pull, which policy to follow, and what to ask, within a budget that is never passed.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
