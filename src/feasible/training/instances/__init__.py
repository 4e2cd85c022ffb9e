"""Small data and networks to train, from scikit-learn's packaged sets and seeded generators."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
