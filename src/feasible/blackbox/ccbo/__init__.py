"""Constrained composite Bayesian optimization for rational synthesis of polymeric particles (F.
Wang, A. Parhizkar, A. Harker, M. Edirisinghe, 2024, arXiv 2411.10471).

It hits a target value with few experiments, some of which fail and only say so. Begin to read at
`ccbo.py`.

- `ccbo.py`: `CompositeBO`, the Method. `settings.py`: its settings.
- `native.py`: `CCBO`, asked and told by hand.
- `acquisition.py`: the constrained, composite expected improvement of a batch.
- `models.py`: the exact Gaussian process and the classifier, on mixed inputs.
- `claim.py`: the paper's claim. `entries.py`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
