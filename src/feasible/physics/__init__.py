"""Programs constrained by partial differential equations.

States on meshes, controls and shapes that are to be chosen, and models that keep to the equations.
Importing it needs NumPy and SciPy only.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
