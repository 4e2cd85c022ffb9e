"""M-FAC: Efficient Matrix-Free Approximations of Second-Order Information (arXiv 2107.03356).

- `claim`: The claim of arXiv 2107.03356: exact inverse-Fisher products in O(dm), that prune
  trained networks far further, and precondition training.
- `fisher`: The damped empirical Fisher matrix of m gradients g_i in R^d, and its inverse, without
  any d x d matrix.
- `instances`: Regressions whose directions differ in scale by a hundred and are mixed by a
  rotation: what no rescaling of single weights can mend.
- `mfac`: M-FAC: gradient steps preconditioned by the inverse empirical Fisher matrix of the last
  m gradients.
- `obs_pruner`: Pruning of single weights by the optimal brain surgeon, with M-FAC's inverse
  Fisher matrix.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
