from .packages import rex as rex
from .packages import schedule_free_adamw as schedule_free_adamw
from .torch_pruning import TorchPruningMagnitude as TorchPruningMagnitude
