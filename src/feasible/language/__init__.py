"""Language: models of words, the workflows around them, and how small they can be made.

Objectives to fine-tune by, optimisers of what surrounds a model, and plans that fit it into memory,
within budgets of tokens and calls.
"""

from ..core.names import public_names

__getattr__, __dir__, __all__ = public_names(__name__, __file__)
