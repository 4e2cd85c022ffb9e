"""Sequential programming on Gaussian-process interpolants, a method of our own from published
parts.

- `gp_sqp`: Sequential programming on Gaussian-process interpolants, in a trust region with global
  steps: the room's default for smooth functions.
- `interpolant`: Gaussian-process interpolants of several outputs at once, for few points and no
  noise: means, gradients and deviations in microseconds.
- `step`: One step on surrogates: minimise the model of the objective subject to the models of the
  constraints, in a box.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
