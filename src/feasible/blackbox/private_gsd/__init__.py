"""Generating Private Synthetic Data with Genetic Algorithms (T. Liu, J. Tang, G. Vietri, Z. S. Wu,
ICML 2023, arXiv 2306.03257).

It makes a synthetic table whose answers to a workload of counting queries are near those of a
private table, under zero-concentrated differential privacy. Begin to read at `gsd.py`.

- `gsd.py`: `GSD`, the Method, and `PrivateGSD`, as data scientists call it.
- `genetic.py`: the optimisers, their settings and a fit's state; `evolution.py` and `kernels.py`:
  their compiled loops; `layout.py`: queries as arrays.
- `queries.py`: marginals, ranges, prefixes and halfspaces. `domain.py`: what a table may hold.
- `problem.py`: `PrivateTable`, the problem and its oracles. `accounting.py`: budgets and exact
  noise. `privacy.py`: what a method may spend.
- `rap.py`: the gradient baselines of the paper. `peers.py`: the graphical model of `mbi`.
- `instances.py`: ready-made tables; `data/`: UCI Adult. `claim.py`: the paper's claim.
- `entries.py`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
