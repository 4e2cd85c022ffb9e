"""Mathematical programs.

Nonlinear programs with named constraints, and the other problems that a program's solvers are
asked for: inclusions, graphs, certificates, sequences of linear systems.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
