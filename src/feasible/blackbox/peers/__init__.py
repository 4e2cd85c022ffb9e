"""Other libraries' solvers as methods, so that races against them are fair.

Each keeps its library's defaults and its library's best documented handling of limits, known
constraints, whole numbers and failures. Peers other than SciPy come with `pip install
'feasible[peers]'` and are imported when a run begins.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
