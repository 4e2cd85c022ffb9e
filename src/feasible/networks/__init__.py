"""Optimisation over a network.

Data and objectives that stay where they are, and the messages that their owners exchange.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
