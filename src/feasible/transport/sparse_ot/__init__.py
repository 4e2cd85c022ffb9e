"""Sparsity-Constrained Optimal Transport (arXiv 2209.15466).

- `ascent`: Ascent on the dual or the semi-dual of sparsity-constrained transport: L-BFGS with
  Newton steps on a settled support, and Adam.
- `capped`: A capped transport problem as the kernels have it: normalised, its capped side as
  rows, nothing without mass; and the way back.
- `claim`: The claim of arXiv 2209.15466: a cap on the nonzeros of a plan interpolates between
  linear and quadratic transport, and routes tokens to experts under a capacity at least as well
  as the top expert or an entropic plan.
- `compiled`: Compiled columns of sparsity-constrained transport: k-sparse maxima, objectives with
  gradients, plans.
- `instances`: Ready-made transport problems with a cap: point clouds, histograms, colours of two
  photographs, tokens and experts.
- `peers`: POT's smooth transport on capped problems: its sparsity-constrained and its quadratic
  regularisation, by semi-dual and by dual.
- `problem`: SparseTransport: couplings of two histograms of which every column (or every row) has
  at most k nonzeros.
- `repair`: Plans that meet their marginals and their cap where those of the best potentials do
  not, because the k-th and the next largest entry tie.
- `result`: What `sparse_ot` returns.
- `router`: Routing of tokens to experts with a capacity, by sparsity-constrained transport (Liu,
  Puigcerver, Blondel, ICLR 2023, section 6 and appendix).
- `sparse_ot`: Sparsity-constrained optimal transport (Liu, Puigcerver, Blondel, ICLR 2023, arXiv
  2209.15466).
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
