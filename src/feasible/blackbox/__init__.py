"""Expensive functions under limits: the problem class, ready-made instances, published methods and
other libraries' solvers.
"""

import lazy_loader as lazy

from ..core.names import with_former_names

_public, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
__getattr__ = with_former_names(__name__, _public, {"private": "private_gsd"})
