"""Constrained Bi-Level Optimization: Proximal Lagrangian Value function and Hessian-free Algorithm.

Wei Yao, Chengming Yu, Shangzhi Zeng, Jin Zhang, ICLR 2024.

Minimise F(x, y) where y solves a convex lower level with constraints that x and y share: the value
function of a proximal Lagrangian is smooth, its gradient needs first derivatives of one tracked
point only, and each iteration is one step of each variable and one projection on the joint set.

Begin with `lv_hba`: `advance` is an iteration, `choose_steps` what makes it contract.

- `settings`: how it is followed.
- `lv_hba`: the method, the value function, and the function for one's own programs.
- `projections`: on the joint set; semismooth Newton for support vector machines.
- `run`: the method of a run.
- `instances`: weights of a support vector machine's samples.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
