"""TS-DDR: two-stage deep decision rules, trained by duals.

Andrew Rosemberg, Alexandre Street, Davi M. Valladão, Pascal Van Hentenryck: Efficiently Training
Deep-Learning Parametric Policies using Lagrangian Duality, arXiv 2405.14973 (2024).

A network says which states to aim at; a linear program finds what comes nearest within the limits.
The dual of "state = target" is the derivative of the cost in the target, so that the network learns
without anybody differentiating a solver.

Begin with `projection`: the programs and their derivatives; `ts_ddr` is the way in.

- `settings`: how it is run.
- `network`: the networks that point.
- `projection`: windows of stages as functions that torch can differentiate.
- `cone`: the same windows solved by Clarabel.
- `ts_ddr`: training, the class for problems of one's own, and the method of a run.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
