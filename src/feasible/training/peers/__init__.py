"""Other libraries' optimisers and schedules, one file a library."""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
