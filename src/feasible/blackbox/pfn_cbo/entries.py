"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "pfn-cei",
        "feasible.blackbox.pfn_cbo.search:NetworkSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        summary="Bayesian optimisation with a pre-trained network: constrained expected "
        "improvement",
    ),
    Entry(
        "pfn-cei-plus",
        "feasible.blackbox.pfn_cbo.search:NetworkSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        settings={"acq": "cei+"},
        summary="pfn-cei that also takes points feasible with probability one half",
    ),
    Entry(
        "pfn-penalty",
        "feasible.blackbox.pfn_cbo.search:NetworkSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        settings={"acq": "penalty"},
        summary="expected improvement of a penalised objective under the network",
    ),
    Entry(
        "gp-cei",
        "feasible.blackbox.pfn_cbo.search:ProcessSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        summary="constrained expected improvement under Gaussian processes of BoTorch (a baseline)",
    ),
    Entry(
        "gp-cei-plus",
        "feasible.blackbox.pfn_cbo.search:ProcessSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        settings={"acq": "cei+"},
        summary="gp-cei that also takes points feasible with probability one half",
    ),
    Entry(
        "gp-penalty",
        "feasible.blackbox.pfn_cbo.search:ProcessSearch",
        "blackbox",
        "pfn-cbo",
        "BlackBox",
        settings={"acq": "penalty"},
        summary="expected improvement of a penalised objective under a Gaussian process",
    ),
)
CLAIM = "feasible.blackbox.pfn_cbo.claim:claim"
