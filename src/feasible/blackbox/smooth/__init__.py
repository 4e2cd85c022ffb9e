"""Smooth functions, with or without limits, at any budget: a method of this library, put together
from published parts, and the room's default for them.

Begin to read at `hybrid.py`, whose docstring has the algorithm.

- `hybrid.py`: `Hybrid`, the Method: its phases, asking and telling.
- `sqp.py`: the local search, `local.py` its state; `quadratic.py`: its quadratic programme;
  `merit.py`: what a step is worth where there are limits.
- `lines.py`: sums over single inputs; `evolution.py`: a CMA-ES.
- `rows.py`, `cube.py`: the evaluations, and the coordinates in which the search works.
- `minimize.py`: `minimize` in SciPy's manner.
- `entries.py`: what the folder offers by name.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
