from .generated import known_optimum as known_optimum, random_shop as random_shop
from .hydrothermal import hydrothermal_ht3 as hydrothermal_ht3
from .literature import NAMES as NAMES, benchmark as benchmark
