"""Sequential programming on Gaussian-process interpolants: a method of this library, put together
from published parts.

It minimises a smooth, expensive function under constraints, all known by evaluations only, and is
the room's default for them. Begin to read at `gp_sqp.py`, whose docstring has the algorithm.

- `gp_sqp.py`: `GPSQP`, the Method: its settings, its state, asking and telling.
- `state.py`: `SQPState`, what it keeps between its steps, and `Pending`, a proposal that is out.
- `merit.py`: which of two rows is better.
- `view.py`: the models about a centre, as a step sees them.
- `interpolant.py`: `Interpolants`, the models themselves.
- `step.py`: minimising a model subject to models, in a box.
- `entries.py`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
