"""REX: a schedule that stays high for longer than linear decay, whatever the budget.

Chen, Wolfe, Kyrillidis, "REX: Revisiting Budgeted Training with an Improved Schedule", MLSys 2022,
arXiv 2107.04197. A profile of the share of the run that is over, renewed at every step.

Begin with `rex`, class `REX`.

- `rex`: The scheduler.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
