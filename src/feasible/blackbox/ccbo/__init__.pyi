from .ccbo import CCBO as CCBO
from .ccbo import CompositeBO as CompositeBO
