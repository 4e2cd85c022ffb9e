"""Stepsize anything: A unified learning rate schedule for budgeted-iteration training (arXiv
2505.24452).

- `claim`: The claim of arXiv 2505.24452: UBA solves its min-max problem, and is at least as good
  as cosine over budgets.
- `phi`: choose_phi: UBA's shape parameter (arXiv 2505.24452) by a preset for the optimiser, the
  curvature at the start, or a small sweep.
- `uba`: UBA: a learning-rate schedule of one shape parameter, from a min-max problem over unknown
  curvature.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
