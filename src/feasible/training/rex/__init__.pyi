from .rex import REX as REX
