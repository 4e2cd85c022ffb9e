from .botorch import PFNModel as PFNModel
from .pfn import PFN as PFN
from .search import (
    ConstrainedBO as ConstrainedBO,
    NetworkSearch as NetworkSearch,
    ProcessSearch as ProcessSearch,
)
