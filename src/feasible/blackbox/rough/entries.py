"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "robust-bo",
        "feasible.blackbox.rough.run:RobustBO",
        "blackbox",
        None,
        "BlackBox",
        summary="Gaussian processes over reals, whole numbers and categories, with Student-t noise "
        "and a model of what fails",
    ),
    Entry(
        "relay",
        "feasible.blackbox.rough.relay:Relay",
        "blackbox",
        None,
        "BlackBox",
        summary="hybrid-sqp, which hands over to robust-bo when values do not repeat or "
        "evaluations fail",
    ),
    Entry(
        "gp-relay",
        "feasible.blackbox.rough.relay:Relay",
        "blackbox",
        None,
        "BlackBox",
        settings={"first": "gp-sqp"},
        summary="gp-sqp, which hands over to robust-bo when values do not repeat or evaluations "
        "fail",
    ),
)
