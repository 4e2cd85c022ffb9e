"""Where the methods of stored runs of version 0.1.0 are now: "module:class" -> registered name."""

MOVED = {
    "feasible.transport.sinkhorn_newton_sparse:SinkhornNewton": "sinkhorn-newton",
    "feasible.transport.peers:PotSinkhorn": "pot-sinkhorn-log",
    "feasible.transport.peers:OttSinkhorn": "ott-sinkhorn",
    "feasible.transport.peers:GeomlossSinkhorn": "geomloss-sinkhorn",
    "feasible.transport.peers:NetworkSimplex": "pot-network-simplex",
    "feasible.transport.peers:LinearSumAssignment": "scipy-assignment",
    "feasible.transport.sparsity_constrained:SparseOTMethod": "sparse-ot",
    "feasible.transport.peers_sparse:PotSmooth": "pot-sparse",
    "feasible.transport.bottleneck:MECBottleneck": "mec-bottleneck",
    "feasible.transport.coding_agent:CodingAgent": "coding-agent",
    "feasible.transport.transductive:FewShotClustering": "slk-ms",
    "feasible.transport.peers_clustering:NearestPrototype": "nearest-prototype",
    "feasible.transport.peers_clustering:NearestCentroidPeer": "sklearn-nearest-centroid",
    "feasible.transport.peers_clustering:KMeansPeer": "sklearn-kmeans",
    "feasible.transport.peers_clustering:LabelSpreadingPeer": "sklearn-label-spreading",
}
