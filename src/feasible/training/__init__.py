"""The training room: schedules, optimisers and pruning for a fixed budget of steps. Native classes
follow torch's own conventions.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
