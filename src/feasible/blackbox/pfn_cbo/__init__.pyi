from .botorch import PFNModel as PFNModel
from .native import ConstrainedBO as ConstrainedBO
from .pfn import PFN as PFN
from .search import NetworkSearch as NetworkSearch, ProcessSearch as ProcessSearch
