"""Scheduling and dispatch: which operation runs when, and how much a plant gives at each stage."""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
