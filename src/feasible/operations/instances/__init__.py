"""Ready-made problems: those of the literature by name, and generators; one file a family."""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
