"""The perfect blend: redefining RLHF with a mixture of judges (CGPO)."""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
