"""Expensive functions under limits: the problem class, ready-made instances, published methods and
other libraries' solvers.
"""

from ..core.names import public_names, with_former_names

_public, __dir__, __all__ = public_names(__name__, __file__)
__getattr__ = with_former_names(__name__, _public, {"private": "private_gsd"})
