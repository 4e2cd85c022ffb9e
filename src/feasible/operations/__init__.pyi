from .jobshop import BoundBroken as BoundBroken, JobShop as JobShop
from .schedule import BestKnown as BestKnown, Schedule as Schedule
