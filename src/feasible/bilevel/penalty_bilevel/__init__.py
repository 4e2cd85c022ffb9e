"""On Penalty Methods for Nonconvex Bilevel Optimization and First-Order Stochastic Approximation.

Jeongyeol Kwon, Dohyun Kwon, Stephen Wright, Robert Nowak, ICLR 2024, arXiv 2309.01753.

Minimise f(x, y) over x, where y minimises g(x, .), by first derivatives only: two copies of y
follow g and sigma f + g, and the difference of their gradients by x, over sigma, is the slope of
the hyper-objective up to O(sigma). No Hessian product, no graph between steps, and lower levels
with many solutions are taken.

Begin with `penalty`: `advance` is a step, `track` the inner loop, `outer_slope` the gradient of
psi_sigma.

- `settings`: how it is followed.
- `penalty`: the double and the single loop, without and with momentum.
- `hyper`: `PenaltyBilevel`, a step beside a training loop of one's own.
- `hypergradient`: the gradients of psi_sigma and psi as formulas.
- `run`: the method of a run.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
