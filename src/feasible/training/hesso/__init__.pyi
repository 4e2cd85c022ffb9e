from .cric import HESSOCRIC as HESSOCRIC
from .find import find_zero_invariant_groups as find_zero_invariant_groups
from .groups import ZIG as ZIG, Groups as Groups
from .hesso import HESSO as HESSO, HESSOSettings as HESSOSettings
from .subnet import (
    compare as compare,
    construct_subnet as construct_subnet,
    load_subnet as load_subnet,
    save_subnet as save_subnet,
)
