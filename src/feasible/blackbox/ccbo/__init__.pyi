from .ccbo import CompositeBO as CompositeBO
from .native import CCBO as CCBO
