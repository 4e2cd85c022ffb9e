"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "sparse-ot",
        "feasible.transport.sparse_ot.sparse_ot:SparseOTMethod",
        "transport",
        "sparse-ot",
        "SparseTransport",
        summary="plans with at most k nonzeros in every column or row: L-BFGS and Newton steps on "
        "the semi-dual",
        example="sparse-clouds",
    ),
    Entry(
        "sparse-ot-dual",
        "feasible.transport.sparse_ot.sparse_ot:SparseOTMethod",
        "transport",
        "sparse-ot",
        "SparseTransport",
        settings={"formulation": "dual"},
        summary="the same on the dual",
        example="sparse-clouds",
    ),
    Entry(
        "sparse-ot-adam",
        "feasible.transport.sparse_ot.sparse_ot:SparseOTMethod",
        "transport",
        "sparse-ot",
        "SparseTransport",
        settings={"solver": "adam"},
        summary="the same by 20 steps of Adam, as the paper's router has it",
        example="sparse-routing",
    ),
    Entry(
        "sparse-ot-repair",
        "feasible.transport.sparse_ot.sparse_ot:SparseOTMethod",
        "transport",
        "sparse-ot",
        "SparseTransport",
        settings={"repair": True},
        summary="sparse-ot, then a mixed-integer search for a plan that meets its marginals where "
        "ties (small k) left one that does not",
        example="sparse-histograms",
    ),
    Entry(
        "pot-sparse",
        "feasible.transport.sparse_ot.peers:PotSmooth",
        "transport",
        None,
        "SparseTransport",
        peer=True,
        summary="POT, sparsity-constrained regularisation, semi-dual",
        example="sparse-clouds",
    ),
    Entry(
        "pot-sparse-dual",
        "feasible.transport.sparse_ot.peers:PotSmooth",
        "transport",
        None,
        "SparseTransport",
        peer=True,
        settings={"formulation": "dual"},
        summary="POT, sparsity-constrained regularisation, dual",
        example="sparse-clouds",
    ),
    Entry(
        "pot-quadratic",
        "feasible.transport.sparse_ot.peers:PotSmooth",
        "transport",
        None,
        "SparseTransport",
        peer=True,
        settings={"capped": False},
        summary="POT, quadratic regularisation, which ignores the cap",
        example="sparse-clouds",
    ),
)
PROBLEMS = (
    Entry(
        "sparse-clouds",
        "feasible.transport.sparse_ot.instances:sparse_clouds",
        "transport",
        "sparse-ot",
        "SparseTransport",
    ),
    Entry(
        "sparse-histograms",
        "feasible.transport.sparse_ot.instances:sparse_histograms",
        "transport",
        "sparse-ot",
        "SparseTransport",
    ),
    Entry(
        "sparse-routing",
        "feasible.transport.sparse_ot.instances:sparse_routing",
        "transport",
        "sparse-ot",
        "SparseTransport",
    ),
    Entry(
        "sparse-colours",
        "feasible.transport.sparse_ot.instances:sparse_colours",
        "transport",
        "sparse-ot",
        "SparseTransport",
    ),
)
CLAIM = "feasible.transport.sparse_ot.claim:claim"
