from .ccbo import CCBO as CCBO, CompositeBO as CompositeBO
