"""Target-based Surrogates for Stochastic Optimization (arXiv 2302.02607).

- `claim`: The claim of arXiv 2302.02607: many steps on a target surrogate make more of each
  gradient of an expensive loss.
- `inner_solvers`: How a target surrogate is lowered over the weights, without another gradient of
  the expensive loss.
- `instances`: Problems where the gradient of the loss in the outputs costs: breast cancer by
  squares and logistic regression, digits, a factorisation.
- `metrics`: The proximity term of a target surrogate: which distance in the space of model
  outputs keeps a step close to where the gradient was taken.
- `native_numpy`: Target surrogates on functions of NumPy vectors: a model f, its Jacobian, and
  the gradient of an expensive loss of its outputs.
- `problem`: TargetProblem: train a model where the loss's gradient in the model's outputs is what
  costs.
- `run`: Methods for a `TargetProblem`: target surrogates, and what spends one gradient of the
  loss for each step of the weights.
- `sso`: Target surrogates, SSO (Lavington, Vaswani, Babanezhad, Schmidt, Le Roux, "Target-based
  Surrogates for Stochastic Optimization", ICML 2023, arXiv 2302.02607).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
