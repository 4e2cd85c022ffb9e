"""What the transport room offers by name: the entries of its folders, one after the other."""

from __future__ import annotations

from ..core.registry import Catalogue
from .default import choose
from .mec_bottleneck import entries as mec_bottleneck
from .moved import MOVED
from .sinkhorn_newton_sparse import entries as sinkhorn_newton_sparse
from .sparse_ot import entries as sparse_ot
from .transductive_clustering import entries as transductive_clustering

CATALOGUE = Catalogue.chain(
    "transport",
    (mec_bottleneck, sinkhorn_newton_sparse, sparse_ot, transductive_clustering),
    choose,
    MOVED,
)
