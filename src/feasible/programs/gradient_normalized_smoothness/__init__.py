"""Gradient-Normalized Smoothness for Optimization with Approximate Hessians.

Andrei Semenov, Martin Jaggi, Nikita Doikov, ICLR 2026, arXiv 2506.13710.

Minimise a smooth function, convex or not, with whatever positive semidefinite Hessian is at hand:
exact, Gauss-Newton's, Fisher's, of rank one, a diagonal, or 0. One rule regularises the Newton step
for all of them, lambda = |gradient| / gamma, and one search finds gamma.

Begin with `newton`: `advance` is Algorithm 1; `minimize.gns_minimize` is the way in.

- `settings`: how far a step may go, and when it is taken.
- `newton`: Algorithm 1.
- `curvature`: approximate Hessians and the solve that each has.
- `linear`: matrices of any storage, their factors, and the metric.
- `minimize`: `gns_minimize`, and `gns` for scipy.optimize.minimize.
- `losses`: log-sum-exp and powers of residuals, with their Hessians.
- `logistic`: logistic and softmax regression, with theirs.
- `estimator`: logistic regression for scikit-learn.
- `problem`: `SmoothProgram`, a program with approximate Hessians.
- `run`: the method of a run.
- `baselines`: super-universal and cubic Newton, gradient and fast gradient.
- `peers`: SciPy's least_squares; its other solvers are in the room's peers.
- `instances`: ready-made problems.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
