"""Bayesian optimisation that noise, outliers, whole numbers, categories, yes/no limits and failed
evaluations do not mislead: a method of this library, put together from published parts.

Begin to read at `run.py`, whose docstring has the algorithm.

- `run.py`: `RobustBO`, the Method: its settings, asking and telling.
- `state.py`: `RobustState`, what it remembers, and how rows come in.
- `inputs.py`: reals, whole numbers and categories as features, neighbours, points to look at.
- `model.py`: `GP`, the Gaussian process, fitted by its marginal likelihood and priors.
- `belief.py`: what the rows say of the objective: output warp, Student-t noise, open proposals.
- `success.py`: what they say of the limits and of evaluations that fail.
- `odds.py`: `Odds`, how likely a yes is: a process seen through a probit.
- `acquisition.py`: log expected improvement, knowledge gradient, and the search for their maximum.
- `local.py`: steps on smooth models about the best row.
- `relay.py`: `Relay`, the Method that begins as hybrid-sqp and hands over to `RobustBO`.
- `entries.py`: what the folder offers by name.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
