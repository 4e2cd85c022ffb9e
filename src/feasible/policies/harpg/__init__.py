"""Policy gradient methods of improved sample complexity, for Fisher-non-degenerate policies.

Ilyas Fatkhullin, Anas Barakat, Anastasia Kireeva, Niao He, ICML 2023, arXiv 2302.01734.

The direction is a mean of gradients of one trajectory each, kept unbiased as the policy moves:
N-PG-IGT takes gradients ahead of the policy, (N-)HARPG moves the mean by a Hessian's product from a
second trajectory. No large batches, no importance weights.

Begin with `settings`: what tells the methods apart.

- `compiled`, `tables`: all methods on a finite process, in one compiled loop.
- `optimiser`: `NormalizedIGT`, for any stochastic objective of torch.
- `estimator`: gradients and Hessian products of networks, batched over trajectories.
- `agent`: the methods on environments, as Stable-Baselines3 has its own.
- `run`: the methods of runs.
- `claim`: the paper's statement as an experiment.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
