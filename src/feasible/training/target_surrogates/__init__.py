"""Target surrogates: many steps for each gradient of an expensive loss.

Lavington, Vaswani, Babanezhad, Schmidt, Le Roux, "Target-based Surrogates for Stochastic
Optimization", ICML 2023, arXiv 2302.02607. One gradient of the loss in the model's outputs gives an
upper bound of the loss, which is then lowered over the weights.

Begin with `sso`, class `TargetSurrogate`.

- `sso`: The settings and the optimiser.
- `metrics`: The distance in the space of outputs.
- `inner_solvers`: How a surrogate is lowered over the weights.
- `native_numpy`: The method on functions of NumPy vectors.
- `problem`: `TargetProblem`, where gradients of the loss are what costs.
- `run`: Methods for such problems, SSO and those that step once a gradient.
- `instances`: Ready-made problems.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
