from .botorch import PFNModel as PFNModel
from .pfn import PFN as PFN
from .search import (
    ConstrainedBO as ConstrainedBO,
)
from .search import (
    NetworkSearch as NetworkSearch,
)
from .search import (
    ProcessSearch as ProcessSearch,
)
