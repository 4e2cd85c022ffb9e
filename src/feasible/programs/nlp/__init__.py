"""Nonlinear programs by several solvers, each checked before the next is tried: the room's default.

Begin to read in `nlp`; `order` says who comes when, and why.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
