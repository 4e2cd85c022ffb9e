"""Other libraries' solvers of a `Program`, one file a library. Begin to read in `frame`."""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
