"""Lion-K: weight decay as a constraint, and what Lion's momentum then minimises.

Chen, Liu, Liang, Liu, "Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts", ICLR
2024, arXiv 2310.05898. With a convex function kappa, momentum and decoupled decay lam minimise
f(x) + kappa*(lam x) / lam.

Begin with `lion_k`, class `LionK`.

- `lion_k`: The optimiser.
- `kappa`: What the theory asks of a kappa.
- `separable`, `coupled`: The kappas, by entry and of several entries together.
- `kappas`: The kappas by name.
- `balls`: Nearest points of the sets that they stand for.
- `kernel`: Lion's step in one pass over memory.
- `lyapunov`: Where a run stands: in which phase, and how far from optimal.
- `native_numpy`: The method on a function of a NumPy vector.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
