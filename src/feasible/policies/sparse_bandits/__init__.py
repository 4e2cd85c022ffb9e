"""Does sparsity help in learning misspecified linear bandits?

Jialin Dong, Lin F. Yang, ICML 2023, arXiv 2303.16998.

The best of very many arms whose rewards are, up to eps, a linear function of few of their features:
with sparse parameters eliminated by queries an error of O(eps) needs no exp(d) queries.

Begin with `elimination`: candidates, what a reply refutes, and `SparseElimination`.

- `settings`: what is assumed.
- `nets`: finite nets of the ball and the sphere.
- `compiled`: the loops over candidates.
- `elimination`: the method, by ask and tell.
- `baselines`: least squares, orthogonal matching pursuit, LASSO, LinUCB, OFUL, G-optimal designs.
- `run`: the methods of runs.
- `instances`: decoys, adversaries and the lower bound's instances.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
