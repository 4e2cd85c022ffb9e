"""UBA: a learning-rate schedule of one shape parameter.

Tang, Dong, Zeng, Zhou, Lin, "Stepsize anything: A unified learning rate schedule for
budgeted-iteration training", NeurIPS 2025, arXiv 2505.24452. The profile solves a min-max problem
over curvatures that are not known, for a fixed number of steps.

Begin with `uba`, class `UBA`.

- `uba`: The scheduler, its profile and the problem that it solves.
- `phi`: Its shape parameter, by a preset, the curvature at the start or a sweep.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
