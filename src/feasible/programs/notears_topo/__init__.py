"""TOPO: NOTEARS objectives by topological swaps.

Chang Deng, Kevin Bello, Bryon Aragam, Pradeep Ravikumar, ICML 2023, arXiv 2305.17277.

    minimise    Q(W)   over weighted graphs W on d variables
    subject to  W is acyclic

Begin with `search`, the paper's loop; `linear` has the score that makes it fast.

- `search`: candidate pairs, exchanges, starts.
- `linear`, `compiled`: least squares on a covariance; all exchanges in O(d^4).
- `nodewise`: logistic and l1 regressions.  `neural`: one network a variable.
- `topo`: the function.  `topo_dag`: the scikit-learn estimator.
- `pruning`: which edges stay.  `graphs`: matrices as graphs.  `figure`: a graph drawn.
- `problem`, `judging`: `DAGLearning`, the problem of a run, and its own refit.
- `run`: the methods of a run.  `peers`: DAGMA, gCastle, causal-learn.
- `simulate`, `instances`: random graphs and data from them.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
