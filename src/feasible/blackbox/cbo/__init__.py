"""Gradient is All You Need? How Consensus-Based Optimization can be Interpreted as a Stochastic
Relaxation of Gradient Descent (K. Riedl, T. Klock, C. Geldhauser, M. Fornasier, 2023, arXiv
2306.09778).

It minimises a function by its values alone: particles drift to their weighted mean and shake in
proportion to their distance from it. Begin to read at `consensus.py`, which has the formulas, then
`cbo.py`.

- `cbo.py`: `CBO`, the Method. `settings.py`: its settings and published presets.
- `moves.py`: drift, memory and gradient moves (algorithms A and B). `epochs.py`: mini-batches,
  cooling, restarts (algorithm E). `cloud.py`: the particles.
- `hopping.py`: consensus hopping (algorithm C) and the gradient that it amounts to (D).
- `descent.py`: gradient descent and annealed Langevin dynamics, the paper's baselines (G).
- `swarm.py`: ask and tell for batches. `minimize.py`: a loop in SciPy's manner. `in_torch.py`: a
  torch optimiser.
- `generation.py`: points that are evaluated together, in runs. `penalty.py`: constraints.
- `claim.py`: the paper's claim. `entries.py`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
