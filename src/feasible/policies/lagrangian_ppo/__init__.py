"""Proximal policy optimisation that keeps expected costs within their limits.

    maximise  E[sum r]   subject to   E[sum c_j] within its limit, for each cost by name

A multiplier for each limit rises while its cost is over the limit and falls while it is under it;
the policy follows the advantages of rewards less those of costs, weighed by the multipliers
(Ray, Achiam, Amodei: Benchmarking safe exploration in deep reinforcement learning, 2019).

- `settings`: how.
- `learning`: the learner and its iterations.
- `run`: the method of runs.
- `entries`: what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
