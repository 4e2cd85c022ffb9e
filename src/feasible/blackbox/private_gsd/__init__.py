"""Generating Private Synthetic Data with Genetic Algorithms (arXiv 2306.03257).

- `accounting`: Zero-concentrated differential privacy: what (epsilon, delta) allows, and
  mechanisms that keep to it.
- `claim`: The claim of arXiv 2306.03257: a genetic algorithm matches graphical models and relaxed
  projection on marginals, and wins where no gradient is.
- `domain`: What a table may hold, said in advance: categories and bounds are public, never read
  off the private rows.
- `genetic`: The genetic optimisers of Private-GSD: find a table whose answers are near given
  ones, by mutations and crossovers of single cells.
- `gsd`: Private-GSD: private synthetic data by a genetic algorithm (Liu, Tang, Vietri, Wu, ICML
  2023, arXiv 2306.03257).
- `instances`: Ready-made private tables: a generated one like the American Community Survey, and
  UCI Adult from an installed package.
- `kernels`: Compiled inner loops of the genetic optimisers. Counts are integers and are moved by
  what a change touches, never recomputed.
- `peers`: The graphical-model baseline: Gaussian measurements of marginals, and `mbi`'s
  estimation of a Markov random field from them (PGM).
- `problem`: PrivateTable: a private table, what of it should survive, and oracles that answer
  with noise and charge for it.
- `queries`: Statistical queries on tables: marginals, ranges, prefixes and halfspaces, all counts
  of rows of which a predicate is true.
- `rap`: Relaxed adaptive projection (RAP) and its continuous form (RAP++), the gradient baselines
  of Private-GSD, in own code.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
