from .problem import SparseTransport as SparseTransport
from .result import SparseOT as SparseOT, SparseOTBatch as SparseOTBatch
from .router import (
    Routing as Routing,
    SinkhornRouter as SinkhornRouter,
    SparseRouter as SparseRouter,
    TopKRouter as TopKRouter,
)
from .settings import SparseOTSettings as SparseOTSettings
from .sparse_ot import SparseOTMethod as SparseOTMethod, sparse_ot as sparse_ot
