"""A Tutorial on Bayesian Optimization (P. I. Frazier, 2018, arXiv 1807.02811).

Expensive functions, with noise, limits, fidelities, tasks, environments or gradients, by Gaussian
processes and acquisitions. Begin to read at `bo.py`.

- `bo.py`: `BO`, the Method and its loop. `settings.py`: its settings, and the table that picks an
  acquisition by its text. `native.py`: `BayesOpt`, asked and told by hand.
- `acquisition.py`: what an acquisition is, and those in closed form; `sampled.py`: those that are
  sampled or searched in a way of their own.
- `belief.py`: the models of what was told; `learning.py` fits them. `gp.py`: their factory;
  `slices.py`: hyperparameters by slice sampling; `gradgp.py`: a model that knows gradients.
- `posterior.py`, `lines.py`, `ascent.py`, `entropy.py`: the mathematics of the acquisitions that
  BoTorch lacks; `acq.py` offers them for models of one's own.
- `search.py`: the box as the models see it, and maximising an acquisition over it.
- `instances.py`: functions to judge by. `claim.py`: the tutorial's claim. `entries.py`: what the
  folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
