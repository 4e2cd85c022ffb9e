"""Rules for multistage problems that need no training, or a least-squares fit: what a trained
policy must be compared with.

Begin with `rules`. `entries` is what the folder offers by name.
"""

from ...core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
