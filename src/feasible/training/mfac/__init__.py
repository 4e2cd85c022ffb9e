"""M-FAC: products with the inverse Fisher matrix of m gradients, without any d x d matrix.

Frantar, Kurtic, Alistarh, "M-FAC: Efficient Matrix-Free Approximations of Second-Order
Information", NeurIPS 2021, arXiv 2107.03356. For pruning of trained networks, and as a
preconditioner in training.

Begin with `fisher`, class `StaticFisher`.

- `fisher`: The inverse, of fixed gradients.
- `sliding`: The inverse, of the last m gradients that were pushed.
- `programme`: The dynamic programme that both inverses share.
- `kernel`: Passes over a float32 window, summed in float64.
- `obs_pruner`: Pruning of single weights by the optimal brain surgeon.
- `mfac`: The optimiser.
- `run`: Pruning as a method for runs, `WeightPruning`.
- `instances`: Rotated regressions, where preconditioning counts.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
