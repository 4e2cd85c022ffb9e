"""Bayesian optimisation of several objectives: log noisy expected hypervolume improvement.

Papers: S. Daulton, M. Balandat, E. Bakshy, Parallel Bayesian Optimization of Multiple Noisy
Objectives with Expected Hypervolume Improvement (arXiv 2105.08195); its logarithm from S. Ament,
S. Daulton, D. Eriksson, M. Balandat, E. Bakshy, Unexpected Improvements to Expected Improvement for
Bayesian Optimization (arXiv 2310.20708).

It solves a `BlackBox` with several objectives whose evaluations are dear, some ten to some hundred
of them, under limits and known constraints, in batches, with failures. Begin to read in
`qlognehvi.py`: the settings, what is remembered, one proposal, the models. The acquisition function
itself is BoTorch's.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
