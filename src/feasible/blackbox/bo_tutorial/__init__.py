"""A Tutorial on Bayesian Optimization (arXiv 1807.02811).

- `acq`: Acquisition functions that BoTorch lacks: exact discrete knowledge gradient, the
  tutorial's noisy expected improvement, and their kin.
- `belief`: What Bayesian optimisation believes of a problem, and the acquisitions of the tutorial
  on top of it, as scores to be maximised.
- `bo`: Bayesian optimisation as P. I. Frazier's tutorial treats it: one loop, one family of
  acquisitions.
- `claim`: The claim of arXiv 1807.02811: what plain expected improvement lacks, and that noisy
  EI, KG and their kin have, measured.
- `gp`: Gaussian processes for the methods of this room: one factory over BoTorch's SingleTaskGP,
  with warm starts and a fallback.
- `gradgp`: A Gaussian process of a function and its gradient, and the acquisitions d-EI and d-KG
  that use it.
- `instances`: Functions on which Bayesian optimisation is judged: draws from a Gaussian process,
  noise, fidelities, environments, gradients, limits.
- `native`: Bayesian optimisation asked and told by hand: `BayesOpt`, the native form of the
  methods in `bayes.py` (arXiv 1807.02811).
- `search`: Maximising an acquisition over the allowed points of a box: features of points,
  candidates, and a local search that stays inside.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
