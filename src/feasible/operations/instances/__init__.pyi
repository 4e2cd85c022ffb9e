from .generated import known_optimum as known_optimum, random_shop as random_shop
from .literature import NAMES as NAMES, benchmark as benchmark
