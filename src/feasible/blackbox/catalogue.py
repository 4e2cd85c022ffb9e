"""What the blackbox room offers by name: the entries of its folders, one after the other."""

from __future__ import annotations

from ..core.registry import Catalogue
from .bo_tutorial import entries as bo_tutorial
from .cbo import entries as cbo
from .ccbo import entries as ccbo
from .default import choose
from .gp_sqp import entries as gp_sqp
from .instances import entries as instances
from .moved import MOVED
from .peers import entries as peers
from .pfn_cbo import entries as pfn_cbo
from .private_gsd import entries as private_gsd

CATALOGUE = Catalogue.chain(
    "blackbox",
    (bo_tutorial, cbo, ccbo, gp_sqp, instances, peers, pfn_cbo, private_gsd),
    choose,
    MOVED,
)
