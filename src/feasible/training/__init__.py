"""The training room: schedules, optimisers and pruning for a fixed budget of steps. Native classes
follow torch's own conventions.
"""

import lazy_loader as lazy

__getattr__, __dir__, __all__ = lazy.attach_stub(__name__, __file__)
