"""What the transport room offers by name, and which method it picks when none is named."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..core.registry import Catalogue, Entry

if TYPE_CHECKING:
    from ..core.budget import Budget
    from ..core.problem import Problem

_HERE = "feasible.transport"


def _method(
    name: str,
    target: str,
    solves: str,
    paper: str | None = None,
    peer: bool = False,
    summary: str = "",
    example: str = "",
    **settings: object,
) -> Entry:
    return Entry(
        name, f"{_HERE}.{target}", "transport", paper, solves, peer, settings, summary, example
    )


def _problem(name: str, target: str, solves: str, paper: str, **settings: object) -> Entry:
    return Entry(name, f"{_HERE}.{target}", "transport", paper, solves, settings=settings)


METHODS: tuple[Entry, ...] = (
    _method(
        "sinkhorn-newton",
        "sinkhorn_newton_sparse:SinkhornNewton",
        "EntropicTransport",
        "sinkhorn-newton-sparse",
        example="random-assignment",
        summary="entropic transport to machine precision: Sinkhorn, then Newton with as many "
        "entries of the plan as matter",
    ),
    _method(
        "sinkhorn-newton-paper",
        "sinkhorn_newton_sparse:SinkhornNewton",
        "EntropicTransport",
        "sinkhorn-newton-sparse",
        example="random-assignment",
        mode="paper",
        summary="the paper's stages: 20 Sinkhorn iterations, then Newton with 2/n of the plan's "
        "entries",
    ),
    _method(
        "sinkhorn",
        "sinkhorn_newton_sparse:SinkhornNewton",
        "EntropicTransport",
        example="point-clouds",
        max_newton=0,
        max_sinkhorn=1_000_000,
        summary="Sinkhorn's iteration alone, in the log domain (a baseline of the paper)",
    ),
    _method(
        "pot-sinkhorn-log",
        "peers:PotSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        summary="POT, in the log domain",
    ),
    _method(
        "pot-sinkhorn-stabilized",
        "peers:PotSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        solver="sinkhorn_stabilized",
        summary="POT, with scalings that are absorbed",
    ),
    _method(
        "pot-sinkhorn",
        "peers:PotSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        solver="sinkhorn",
        summary="POT, plain scalings; breaks down at small reg",
    ),
    _method(
        "ott-sinkhorn",
        "peers:OttSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        summary="OTT-JAX, in the log domain",
    ),
    _method(
        "ott-sinkhorn-momentum",
        "peers:OttSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        momentum=1.5,
        summary="OTT-JAX, over-relaxed",
    ),
    _method(
        "geomloss-sinkhorn",
        "peers:GeomlossSinkhorn",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        summary="geomloss, symmetric updates with annealed reg",
    ),
    _method(
        "pot-network-simplex",
        "peers:NetworkSimplex",
        "EntropicTransport",
        peer=True,
        example="point-clouds",
        summary="POT, exact plan of the problem without entropy",
    ),
    _method(
        "scipy-assignment",
        "peers:LinearSumAssignment",
        "EntropicTransport",
        peer=True,
        example="random-assignment",
        summary="SciPy, exact assignment of the problem without entropy",
    ),
    _method(
        "sparse-ot",
        "sparsity_constrained:SparseOTMethod",
        "SparseTransport",
        "sparse-ot",
        example="sparse-clouds",
        summary="plans with at most k nonzeros in every column or row: L-BFGS and Newton steps on "
        "the semi-dual",
    ),
    _method(
        "sparse-ot-dual",
        "sparsity_constrained:SparseOTMethod",
        "SparseTransport",
        "sparse-ot",
        example="sparse-clouds",
        formulation="dual",
        summary="the same on the dual",
    ),
    _method(
        "sparse-ot-adam",
        "sparsity_constrained:SparseOTMethod",
        "SparseTransport",
        "sparse-ot",
        example="sparse-routing",
        solver="adam",
        summary="the same by 20 steps of Adam, as the paper's router has it",
    ),
    _method(
        "sparse-ot-repair",
        "sparsity_constrained:SparseOTMethod",
        "SparseTransport",
        "sparse-ot",
        example="sparse-histograms",
        repair=True,
        summary="sparse-ot, then a mixed-integer search for a plan that meets its marginals where "
        "ties (small k) left one that does not",
    ),
    _method(
        "pot-sparse",
        "peers_sparse:PotSmooth",
        "SparseTransport",
        peer=True,
        example="sparse-clouds",
        summary="POT, sparsity-constrained regularisation, semi-dual",
    ),
    _method(
        "pot-sparse-dual",
        "peers_sparse:PotSmooth",
        "SparseTransport",
        peer=True,
        example="sparse-clouds",
        formulation="dual",
        summary="POT, sparsity-constrained regularisation, dual",
    ),
    _method(
        "pot-quadratic",
        "peers_sparse:PotSmooth",
        "SparseTransport",
        peer=True,
        example="sparse-clouds",
        capped=False,
        summary="POT, quadratic regularisation, which ignores the cap",
    ),
    _method(
        "mec-bottleneck",
        "bottleneck:MECBottleneck",
        "RateLimitedCoupling",
        "mec-bottleneck",
        example="zipf-bottleneck",
        summary="code and coupling under a rate limit: greedy encoder that splits one symbol, "
        "greedy minimum entropy coupling",
    ),
    _method(
        "mec-bottleneck-greedy",
        "bottleneck:MECBottleneck",
        "RateLimitedCoupling",
        "mec-bottleneck",
        example="zipf-bottleneck",
        encoder="greedy",
        summary="code and coupling under a rate limit: the paper's greedy search over functions",
    ),
    _method(
        "mec-bottleneck-exact",
        "bottleneck:MECBottleneck",
        "RateLimitedCoupling",
        "mec-bottleneck",
        example="dirichlet-bottleneck",
        encoder="exact",
        summary="the same with the best of all functions and their single splits, for at most 8 "
        "symbols",
    ),
    _method(
        "mec-quantizer",
        "bottleneck:MECBottleneck",
        "RateLimitedCoupling",
        "mec-bottleneck",
        example="zipf-bottleneck",
        encoder="quantizer",
        summary="the same with a uniform scalar quantiser (a baseline of the paper)",
    ),
    _method(
        "coding-agent",
        "coding_agent:CodingAgent",
        "CodingGame",
        "mec-bottleneck",
        example="coding-grid",
        summary="sends messages by actions: the belief is compressed and coupled with the policy",
    ),
    _method(
        "coding-agent-greedy",
        "coding_agent:CodingAgent",
        "CodingGame",
        "mec-bottleneck",
        example="coding-grid",
        encoder="greedy",
        summary="sends messages by actions, with the paper's greedy encoder",
    ),
    _method(
        "coding-agent-reverse",
        "coding_agent:CodingAgent",
        "CodingGame",
        "mec-bottleneck",
        example="coding-grid",
        compress="policy",
        summary="sends messages by actions: the policy is compressed and coupled with the belief",
    ),
    _method(
        "coding-agent-quantizer",
        "coding_agent:CodingAgent",
        "CodingGame",
        "mec-bottleneck",
        example="coding-grid",
        encoder="quantizer",
        summary="sends messages by actions, with a uniform quantiser (a baseline of the paper)",
    ),
    _method(
        "coding-agent-quantizer-identity",
        "coding_agent:CodingAgent",
        "CodingGame",
        "mec-bottleneck",
        example="coding-grid",
        encoder="quantizer-identity",
        summary="the same, uncompressed once the belief's entropy is within the rate",
    ),
    _method(
        "slk-ms",
        "transductive:FewShotClustering",
        "FewShot",
        "transductive-clustering",
        summary="few labels: mean-shift prototypes and a graph of neighbours, labels pinned",
        example="digits-1-shot",
    ),
    _method(
        "slk-means",
        "transductive:FewShotClustering",
        "FewShot",
        "transductive-clustering",
        mode="means",
        summary="few labels: mean prototypes and a graph of neighbours, labels pinned",
        example="digits-1-shot",
    ),
    _method(
        "k-modes-few-shot",
        "transductive:FewShotClustering",
        "FewShot",
        "transductive-clustering",
        lam=0.0,
        summary="few labels: mean-shift prototypes without a graph",
        example="digits-1-shot",
    ),
    _method(
        "k-means-few-shot",
        "transductive:FewShotClustering",
        "FewShot",
        "transductive-clustering",
        mode="means",
        lam=0.0,
        summary="few labels: K-means from the labelled points, labels pinned",
        example="digits-1-shot",
    ),
    _method(
        "laplacianshot",
        "transductive:FewShotClustering",
        "FewShot",
        "transductive-clustering",
        mode="fixed",
        summary="few labels: fixed prototypes and a graph of neighbours (a baseline of the paper)",
        example="digits-1-shot",
    ),
    _method(
        "nearest-prototype",
        "peers_clustering:NearestPrototype",
        "FewShot",
        peer=True,
        example="digits-1-shot",
        summary="the class whose labelled points have the nearest mean",
    ),
    _method(
        "sklearn-nearest-centroid",
        "peers_clustering:NearestCentroidPeer",
        "FewShot",
        peer=True,
        summary="scikit-learn",
        example="digits-1-shot",
    ),
    _method(
        "sklearn-kmeans",
        "peers_clustering:KMeansPeer",
        "FewShot",
        peer=True,
        summary="scikit-learn, from the labelled points' means",
        example="digits-1-shot",
    ),
    _method(
        "sklearn-label-spreading",
        "peers_clustering:LabelSpreadingPeer",
        "FewShot",
        peer=True,
        summary="scikit-learn, over nearest neighbours",
        example="digits-1-shot",
    ),
)
PROBLEMS: tuple[Entry, ...] = (
    *(
        _problem(
            name,
            f"instances:{name.replace('-', '_')}",
            "EntropicTransport",
            "sinkhorn-newton-sparse",
        )
        for name in (
            "random-assignment",
            "random-assignment-2000",
            "planted-assignment",
            "additive-cost",
            "image-pair",
            "image-pair-l1",
            "photo-pair",
            "point-clouds",
            "colour-transfer",
        )
    ),
    *(
        _problem(name, f"instances_bottleneck:{name.replace('-', '_')}", solves, "mec-bottleneck")
        for name, solves in (
            ("zipf-bottleneck", "RateLimitedCoupling"),
            ("dirichlet-bottleneck", "RateLimitedCoupling"),
            ("coding-grid", "CodingGame"),
        )
    ),
    *(
        _problem(name, f"instances_sparse:{name.replace('-', '_')}", "SparseTransport", "sparse-ot")
        for name in ("sparse-clouds", "sparse-histograms", "sparse-routing", "sparse-colours")
    ),
    *(
        _problem(name, f"episodes:{name.replace('-', '_')}", "FewShot", "transductive-clustering")
        for name in (
            "digits-1-shot",
            "digits-5-shot",
            "digits-imbalanced",
            "sentences-1-shot",
            "blobs-few-labels",
            "moons-few-labels",
        )
    ),
)

DEFAULTS: dict[str, tuple[str, str]] = {
    "EntropicTransport": (
        "sinkhorn-newton",
        "it stays with Sinkhorn's iteration where that is about to be done, and else goes on by "
        "Newton",
    ),
    "SparseTransport": (
        "sparse-ot-repair",
        "its plan is optimal where nothing ties, which its bound shows, and where something does "
        "it looks for "
        "one that meets its marginals",
    ),
    "RateLimitedCoupling": (
        "mec-bottleneck",
        "its encoder uses the whole rate, and both steps take O(n log n)",
    ),
    "CodingGame": (
        "coding-agent",
        "it compresses as little as the rate allows and leaves the policy as it is",
    ),
    "FewShot": (
        "slk-means",
        "it clusters all points together around the labelled ones, and on development episodes it "
        "was the best on digits and "
        "next to k-means-few-shot on sentences, with one label a class and with five",
    ),
}
"""Problem class -> its default method and why."""


def choose(problem: Problem, budget: Budget, batches: bool = False) -> tuple[str, str]:
    """The default method of a kind of problem: there is one published method for each here."""
    return DEFAULTS[type(problem).__name__]


CLAIMS = {
    "sinkhorn-newton-sparse": f"{_HERE}.claims.sinkhorn_newton_sparse:claim",
    "sparse-ot": f"{_HERE}.claims.sparse_ot:claim",
    "mec-bottleneck": f"{_HERE}.claims.mec_bottleneck:claim",
    "transductive-clustering": f"{_HERE}.claims.transductive_clustering:claim",
}

CATALOGUE = Catalogue("transport", METHODS, PROBLEMS, CLAIMS, choose)
