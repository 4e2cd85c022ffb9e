"""Accelerating Distributed Stochastic Optimization via Self-Repellent Random Walks.

Jie Hu, Vishwaraj Doshi, Do Young Eun, ICLR 2024, arXiv 2401.09665.

A token walks on a graph and steps by the gradient of the node where it is. A walk that avoids the
nodes it visited too often makes the variance of what it finds fall like 1 / alpha^2.

Begin with `walk.SelfRepellentWalk`, then `token.token_sgd`.

- `walk`: the walk, and those that it is compared with.
- `token`: gradient descent along a walk.
- `covariance`: what theory says of both.
- `chain`: the reversible chains underneath.
- `losses`: what nodes hold, where it is compiled.
- `sampler`: batches of a torch data set by a walk.
- `compiled`: the hops and the steps.
- `settings`: said once for the class and for runs.
- `problem`: `TokenProblem`, the problem of a run.
- `run`: the methods of a run.
- `instances`: ready-made problems.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
