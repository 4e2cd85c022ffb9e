"""Constrained Optimization via Exact Augmented Lagrangian and Randomized Iterative Sketching.

Ilgee Hong, Sen Na, Michael W. Mahoney, Mladen Kolar, ICML 2023, arXiv 2305.18379.

Minimise a smooth function under equalities by Newton steps on the KKT conditions, each solved, by a
factorisation or by random sketches, only as well as is needed for a descent direction.

Begin with `newton.advance`; `feasible.programs.minimize(method="adasketch-newton")` is the way in.

- `settings`: how a program is solved.
- `newton`: the algorithm.
- `iterate`: a point, its derivatives, and the exact augmented Lagrangian.
- `system`: the Newton system, its shift and the constants of the accuracy.
- `sketches`: how a system is solved.
- `compiled`: sketch steps and restarted GMRES.
- `run`: the method of a run.
- `baselines`: SQP by GMRES, and the augmented Lagrangian.
- `instances`: logistic regression on a sphere, control of a Poisson equation.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
