"""Stochastic dual dynamic programming: cuts below the cost of the stages to come.

M. V. F. Pereira, L. M. V. G. Pinto: Multi-stage stochastic optimization applied to energy planning,
Mathematical Programming 52 (1991).

Begin with `sddp`: the forward and the backward pass, and the method of a run. `entries` is what the
folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
