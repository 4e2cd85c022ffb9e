"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

_RUN = "feasible.programs.lipsdp_groupsort.run"


def _entry(
    name: str,
    target: str,
    summary: str,
    example: str = "maxmin-random",
    paper: str | None = "lipsdp-groupsort",
    peer: bool = False,
    **settings: str,
) -> Entry:
    """A method for certificates."""
    return Entry(
        name,
        target,
        "programs",
        paper,
        "LipschitzCertificate",
        peer=peer,
        settings=settings,
        summary=summary,
        example=example,
    )


METHODS = (
    _entry("lipsdp", f"{_RUN}:LipSDP", "LipSDP-NSR with T, S and P, by an interior-point method"),
    _entry(
        "lipsdp-simple", f"{_RUN}:LipSDP", "LipSDP-NSR with S = P = 0, the paper's", form="simple"
    ),
    _entry(
        "lipsdp-gradient",
        f"{_RUN}:LipSDP",
        "LipSDP-NSR with T, S and P, by the gradient method for wide networks",
        solver="gradient",
    ),
    _entry(
        "lipsdp-rr",
        f"{_RUN}:LipSDP",
        "LipSDP on MaxMin written as a residual network of ReLU",
        paper=None,
        form="relu",
    ),
    _entry("layer-product", f"{_RUN}:LayerProduct", "the product of the layers' norms", paper=None),
    _entry(
        "lipsdp-clarabel",
        f"{_RUN}:LipSDP",
        "the layer-wise inequality with T, S and P by cvxpy and Clarabel",
        "maxmin-linf",
        paper=None,
        peer=True,
        solver="clarabel",
    ),
    _entry(
        "lipsdp-scs",
        f"{_RUN}:LipSDP",
        "the layer-wise inequality with T, S and P by cvxpy and SCS",
        "maxmin-linf",
        paper=None,
        peer=True,
        solver="scs",
    ),
)
PROBLEMS = tuple(
    Entry(
        name,
        f"feasible.programs.lipsdp_groupsort.instances:{factory}",
        "programs",
        "lipsdp-groupsort",
        "LipschitzCertificate",
    )
    for name, factory in (
        ("maxmin-digits", "maxmin_digits"),
        ("maxmin-random", "maxmin_random"),
        ("maxmin-linf", "maxmin_linf"),
        ("maxmin-residual", "maxmin_residual"),
        ("maxmin-implicit", "maxmin_implicit"),
        ("relu-random", "relu_random"),
    )
)
CLAIM = "feasible.programs.lipsdp_groupsort.claim:claim"
