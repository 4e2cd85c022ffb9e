"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "hesso",
        "feasible.training.hesso.run:GroupPruning",
        "training",
        "hesso",
        "TrainingProblem",
        summary="HESSO: channels shrink to zero in ten periods of the run, then are cut",
        example="digits-small",
    ),
    Entry(
        "hesso-cric",
        "feasible.training.hesso.run:GroupPruning",
        "training",
        "hesso",
        "TrainingProblem",
        settings={"corrective": True},
        summary="HESSO-CRIC: looks in several cycles before it decides which channels go",
        example="digits-small",
    ),
    Entry(
        "magnitude-channels",
        "feasible.training.hesso.run:GroupPruning",
        "training",
        None,
        "TrainingProblem",
        settings={"one_shot": True, "criterion": "magnitude", "warmup": 0.5},
        summary="the channels of least norm are cut at once, half way",
        example="digits-small",
    ),
)
CLAIM = "feasible.training.hesso.claim:claim"
