"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "gp-sqp",
        "feasible.blackbox.gp_sqp.gp_sqp:GPSQP",
        "blackbox",
        None,
        "BlackBox",
        summary="sequential programming on Gaussian-process interpolants, in a trust region with "
        "global steps",
    ),
)
