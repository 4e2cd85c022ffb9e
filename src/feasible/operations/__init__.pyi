from .cpsat import solve_cpsat as solve_cpsat
from .documents import read_shop as read_shop, write_shop as write_shop
from .instances import (
    benchmark as benchmark,
    known_optimum as known_optimum,
    random_shop as random_shop,
)
from .jobshop import BoundBroken as BoundBroken, JobShop as JobShop
from .rules import dispatch as dispatch, multistart as multistart
from .schedule import BestKnown as BestKnown, Schedule as Schedule
