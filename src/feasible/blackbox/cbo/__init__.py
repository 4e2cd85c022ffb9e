"""Gradient is All You Need? (arXiv 2306.09778).

- `cbo`: Consensus-based optimisation (CBO): particles that contract about a weighted mean and
  shake in proportion to their distance from it.
- `claim`: The claim of arXiv 2306.09778: consensus moves like gradient descent, yet passes the
  ripples that stop gradient descent.
- `consensus`: The formulas of consensus-based optimisation as plain functions on arrays, shared
  by every form of it.
- `descent`: The baselines of the consensus paper: gradient descent and annealed Langevin
  dynamics, with gradients by central differences.
- `generation`: Batches of points that are evaluated together: handing them out, and taking their
  outcomes partly and in any order.
- `hopping`: Consensus hopping (CH): sample about one centre, hop to the consensus of the samples.
  The bridge from consensus to gradient descent.
- `in_torch`: Training without gradients: consensus-based optimisation as a torch optimiser, with
  mini-batches of particles and of data.
- `penalty`: Constraints by a penalty that grows: E(x) + rho sum_j max(0, g_j(x))^2, each g_j in a
  unit of its own that is learnt.
- `swarm`: Consensus methods on their own: an ask-and-tell object for batches of points, and the
  loop of `cbo_minimize`.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
