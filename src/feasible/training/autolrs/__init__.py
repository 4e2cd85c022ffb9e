"""AutoLRS: a learning-rate schedule found while training, from an interval of rates alone.

Jin, Zhou, Zhao, Zhu, Guo, Canini, Krishnamurthy, "AutoLRS: Automatic Learning-Rate Schedule by
Bayesian Optimization on the Fly", ICLR 2021, arXiv 2105.10762. Training is cut into stages; each
begins with short trials of a few rates, and the one whose forecast loss is least is trained with.

Begin with `autolrs`, class `AutoLRS`.

- `autolrs`: The scheduler that drives a training loop.
- `settings`: Its settings, the paper's and those for short runs.
- `search`: Which rate to try next: Bayesian optimisation of the logarithm of the rate.
- `forecast`: Where a loss curve will be, from its first steps.
- `run`: Its method for runs, `AutoLRSRecipe`.
- `claim`: The paper's claim as an experiment.
- `entries`: What the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
