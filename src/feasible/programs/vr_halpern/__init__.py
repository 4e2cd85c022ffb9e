"""Variance Reduced Halpern Iteration for Finite-Sum Monotone Inclusions.

Xufeng Cai, Ahmet Alacaoglu, Jelena Diakonikolas, ICLR 2024, arXiv 2310.02987.

Find u with 0 in F(u) + G(u), where F is the mean of many monotone components and G has a cheap
resolvent: equilibria of games, saddle points, constrained programs. The residual of the last
iterate falls to epsilon with about n + sqrt(n) L / epsilon component evaluations.

Begin with `halpern`: `_page_step` is Algorithm 1, `_resolvent_step` Algorithm 2 with Algorithm 3
inside; `inclusion.solve_inclusion` is the way in.

- `settings`: how an inclusion is solved.
- `halpern`: the three algorithms.
- `inclusion`: the functions for arrays.
- `operators`: finite sums, affine ones, matrix games, and their constants.
- `projections`: simplex, box, ball, halfspace.
- `compiled`: projections on simplices, Algorithm 3 on matrix games.
- `problem`: `Inclusion`, the problem of a run.
- `run`: the method of a run.
- `baselines`: extragradient, its anchored and variance-reduced forms, gradient descent, Nesterov.
- `peers`: the exact value of a game by SciPy's linear programming.
- `instances`: games and least squares.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
