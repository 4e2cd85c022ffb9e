"""Fast and Accurate Bayesian Optimization with Pre-trained Transformers for Constrained Engineering
Problems (R. T.-Y. Yu, C. Picard, F. Ahmed, 2024, arXiv 2404.04495).

A transformer that was trained on draws of Gaussian processes takes their place as the surrogate of
constrained Bayesian optimisation: a proposal is one pass and needs no fitting. Begin to read at
`search.py`, and for the network at `pfn.py`.

- `search.py`: the Methods `NetworkSearch` and `ProcessSearch`. `native.py`: `ConstrainedBO`, asked
  and told by hand.
- `columns.py`: what a surrogate learns. `candidates.py`: the points that it judges.
- `by_network.py`, `by_process.py`: the acquisition under the network, and under Gaussian processes.
- `pfn.py`: the trained network, `PFN`. `network.py`: its transformer and the file of its weights
  (`weights/`). `bars.py`: the distribution that it answers with.
- `prior.py`, `train.py`: what it learned from, and how.
- `botorch.py`: `PFNModel`, for BoTorch's own acquisitions.
- `claim.py`: the paper's claim. `entries.py`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
