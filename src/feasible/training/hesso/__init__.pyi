from ..trained import shrink as shrink
from .cric import HESSOCRIC as HESSOCRIC
from .find import find_zero_invariant_groups as find_zero_invariant_groups
from .groups import (
    ZIG as ZIG,
)
from .groups import (
    Groups as Groups,
)
from .hesso import HESSO as HESSO
from .subnet import (
    compare as compare,
)
from .subnet import (
    construct_subnet as construct_subnet,
)
from .subnet import (
    load_subnet as load_subnet,
)
from .subnet import (
    save_subnet as save_subnet,
)
