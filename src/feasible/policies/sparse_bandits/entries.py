"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = tuple(
    Entry(
        name,
        f"feasible.policies.sparse_bandits.{target}",
        "policies",
        "sparse-bandits",
        "Bandit",
        settings=settings,
        summary=summary,
        example="small-decoy",
    )
    for name, target, settings, summary in (
        (
            "sparse-elimination",
            "run:Elimination",
            {},
            "sparse parameters that a reply refutes are eliminated: an error of O(eps)",
        ),
        (
            "sparse-elimination-uniform",
            "run:Elimination",
            {"order": "disagreement"},
            "the arm on which candidates disagree most: all arms are predicted well",
        ),
        ("least-squares-design", "baselines:LeastSquaresDesign", {}, "least squares on a design"),
        ("omp-bandit", "baselines:Pursuit", {}, "orthogonal matching pursuit on random arms"),
        ("lasso-bandit", "baselines:Lasso", {}, "LASSO on random arms, refitted on its support"),
        (
            "l1-bandit",
            "baselines:SparseRegression",
            {},
            "least |theta|_1 within eps, then refitted",
        ),
        ("linucb", "baselines:LinUCB", {}, "optimism about a ridge regression"),
        ("oful", "baselines:OFUL", {}, "LinUCB with the weight of a confidence ellipsoid"),
        ("g-optimal", "baselines:GOptimal", {}, "phased elimination of arms by optimal designs"),
        ("random-arms", "baselines:RandomArms", {}, "the best of random arms"),
    )
)
CLAIM = "feasible.policies.sparse_bandits.claim:claim"
PROBLEMS = (
    *(
        Entry(
            f"decoy-{d}-{name}",
            "feasible.policies.sparse_bandits.instances:decoy_bandit",
            "policies",
            "sparse-bandits",
            "Bandit",
            settings={"d": d, "eps": eps},
        )
        for d in (40, 80)
        for name, eps in (("5", 0.05), ("10", 0.1))
    ),
    Entry(
        "small-decoy",
        "feasible.policies.sparse_bandits.instances:decoy_bandit",
        "policies",
        "sparse-bandits",
        "Bandit",
        settings={"d": 12, "eps": 0.2, "K": 300},
    ),
    Entry(
        "jl-needle",
        "feasible.policies.sparse_bandits.instances:jl_hard_instance",
        "policies",
        "sparse-bandits",
        "Bandit",
        settings={"tries": 300},
    ),
)
