"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "cbo",
        "feasible.blackbox.cbo.cbo:CBO",
        "blackbox",
        "cbo",
        "BlackBox",
        summary="consensus-based optimisation: particles drift to their weighted mean",
    ),
    Entry(
        "cbo-memory",
        "feasible.blackbox.cbo.cbo:CBO",
        "blackbox",
        "cbo",
        "BlackBox",
        settings={"memory": True},
        summary="consensus-based optimisation with a memory of each particle's best point",
    ),
    Entry(
        "cbo-hopping",
        "feasible.blackbox.cbo.hopping:Hopping",
        "blackbox",
        "cbo",
        "BlackBox",
        summary="consensus hopping, the bridge from CBO to gradient descent",
    ),
    Entry(
        "gradient-descent",
        "feasible.blackbox.cbo.descent:GradientDescent",
        "blackbox",
        "cbo",
        "BlackBox",
        summary="gradient descent by central differences (a baseline of the paper)",
    ),
    Entry(
        "langevin",
        "feasible.blackbox.cbo.descent:Langevin",
        "blackbox",
        "cbo",
        "BlackBox",
        summary="annealed Langevin dynamics (a baseline of the paper)",
    ),
)
CLAIM = "feasible.blackbox.cbo.claim:claim"
