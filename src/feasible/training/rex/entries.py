"""What this folder offers by name. Plain data: nothing heavy is imported."""

from ...core.registry import Entry

METHODS = (
    Entry(
        "sgd-rex",
        "feasible.training.recipe:Recipe",
        "training",
        "rex",
        "TrainingProblem",
        settings={"optimizer": "sgd", "schedule": "rex"},
        summary="sgd with the schedule REX",
        example="digits-mlp",
    ),
    Entry(
        "adamw-rex",
        "feasible.training.recipe:Recipe",
        "training",
        "rex",
        "TrainingProblem",
        settings={"optimizer": "adamw", "schedule": "rex"},
        summary="adamw with the schedule REX",
        example="digits-mlp",
    ),
)
CLAIM = "feasible.training.rex.claim:claim"
