"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

SLUG = "c-morl"
NAMES = (
    *("deep-sea-treasure", "fruit-tree", "minecart", "minecart-deterministic"),
    *("resource-gathering", "four-room", "mo-mountaincar", "mo-lunar-lander", "mo-reacher"),
    *("mo-halfcheetah", "mo-hopper-2obj", "mo-hopper", "mo-swimmer", "mo-walker2d"),
    *("mo-ant-2obj", "mo-ant", "mo-humanoid"),
)
"""Environments of mo-gymnasium."""


def _method(name: str, target: str, settings: dict[str, object], summary: str) -> Entry:
    """A method for several rewards."""
    return Entry(
        name,
        f"feasible.policies.c_morl.run:{target}",
        "policies",
        SLUG,
        "Control",
        settings=settings,
        summary=summary,
        example="fruit-tree",
    )


METHODS = (
    _method(
        "c-morl",
        "ConstrainedExtension",
        {},
        "policies for a few weights, then pushed along each reward; a barrier keeps the others",
    ),
    _method(
        "c-morl-unbounded",
        "ConstrainedExtension",
        {"constraint": "off"},
        "the same pushes without the barrier",
    ),
    _method(
        "linear-scalarisation",
        "LinearScalarisation",
        {},
        "a policy for each of evenly spread weights",
    ),
)
CLAIM = "feasible.policies.c_morl.claim:claim"
PROBLEMS = (
    *(
        Entry(
            name,
            "feasible.policies.c_morl.instances:mo_control",
            "policies",
            SLUG,
            "Control",
            settings={"name": name},
        )
        for name in NAMES
    ),
    Entry(
        "nine-targets",
        "feasible.policies.c_morl.instances:nine_targets",
        "policies",
        SLUG,
        "Control",
    ),
)
