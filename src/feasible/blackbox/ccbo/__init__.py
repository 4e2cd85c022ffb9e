"""Constrained composite Bayesian optimization for rational synthesis of polymeric particles (arXiv
2411.10471).

- `acquisition`: The acquisition of CCBO: constrained, composite expected improvement of a batch,
  chosen one point after the other.
- `ccbo`: Constrained composite Bayesian optimisation (CCBO): hit a target value, where some
  experiments fail and only say so.
- `claim`: The claim of arXiv 2411.10471: modelling the value instead of its distance from the
  target, and where experiments fail, saves experiments.
- `models`: The two models of CCBO in plain torch: an exact Gaussian process, and a variational
  Gaussian-process classifier, on mixed inputs.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
