"""REX: Revisiting Budgeted Training with an Improved Schedule (arXiv 2107.04197).

- `claim`: The claim of arXiv 2107.04197: over budgets, REX has the best average rank among the
  common schedules.
- `rex`: REX: high for longer than linear decay, then faster to zero, refreshed at every step,
  whatever the budget.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
