"""Small data and networks to train, from scikit-learn's packaged sets and seeded generators."""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
