"""Lion Secretly Solves Constrained Optimization: As Lyapunov Predicts (arXiv 2310.05898).

- `balls`: Nearest points of the unit balls of p-norms, and of a box with a bound on the sum.
- `claim`: The claim of arXiv 2310.05898: Lion's decay is a constraint, and each kappa solves its
  composite problem.
- `kappas`: The convex functions kappa of Lion-K, each with what the theory asks of it (Chen, Liu,
  Liang, Liu, ICLR 2024, arXiv 2310.05898, table 1).
- `kernel`: Lion's step in one pass over memory.
- `lion_k`: Lion-K (Chen, Liu, Liang, Liu, "Lion Secretly Solves Constrained Optimization: As
  Lyapunov Predicts", ICLR 2024, arXiv 2310.05898).
- `lyapunov`: Where a Lion-K run stands: in which phase, and how far from optimal (Chen et al.,
  ICLR 2024, arXiv 2310.05898, sections 3 and 4).
- `native_numpy`: Lion-K on a function of a NumPy vector: small problems, and the solutions that
  the composite problem has.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
