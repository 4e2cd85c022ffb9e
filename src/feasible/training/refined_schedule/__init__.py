"""Linear decay, and schedules refined from the gradient norms of an earlier run.

Defazio, Cutkosky, Mehta, Mishchenko, "When, Why and How Much? Adaptive Learning Rate Scheduling by
Refinement", arXiv 2310.07831. Rates under which the last iterate keeps the guarantee of a weighted
average, and the weights that make that guarantee best for known norms.

Begin with `refined`: `linear_to_last`, then `LinearDecay` and `Refined`.

- `refined`: The theory as functions, the schedulers, and what logs the norms.
- `run`: Its method for runs, `RefinedRecipe`.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
